/** Writes of categories, which are their owner's alone: no event tells of them, but of the tasks that lose one. */
import { mustMatch } from "../../core/preconditions.ts";
import { takenField } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { keyOf } from "../../core/text.ts";
import { type Database, violatedConstraint } from "../../mixins/database.ts";
import type { WriteContext } from "../../mixins/event-log.ts";
import { responseParameter, rememberResponse } from "../../mixins/idempotency.ts";
import { type Batch, uncategorize } from "./tasks.commands.ts";
import type { Category } from "./tasks.contract.ts";
import { findCategory } from "./categories.queries.ts";

function taken(error: unknown): never {
  if (violatedConstraint(error) !== "categories_name_key") throw error;
  throw takenField("name", "You have a category of this name");
}

/** @throws Problem already-exists */
export async function createCategory(
  db: Database,
  { name, color }: Pick<Category, "name" | "color">,
  write: WriteContext,
): Promise<Category> {
  const { actor, time, conditions } = write;
  const category: Category = { id: newId(), name, color, version: 1, created_at: time, updated_at: time };
  const answer = { userId: actor.id, key: conditions.key, response: category };
  await db
    .query({
      name: "categories-insert",
      text: `WITH row AS (
               INSERT INTO tasks.categories (id, user_id, name, color, created_at, updated_at, name_key)
               VALUES ($1, $2, $3, $4, $5, $5, $7) RETURNING id),
             ${rememberResponse(6)}
             SELECT id FROM row`,
      values: [category.id, actor.id, name, color, time, responseParameter(answer), keyOf(name)],
    })
    .catch(taken);
  return category;
}

/** @throws Problem not-found, precondition-failed, already-exists */
export async function patchCategory(
  db: Database,
  id: string,
  fields: Partial<Pick<Category, "name" | "color">>,
  { actor, time, conditions }: WriteContext,
): Promise<Category> {
  return db.transaction(async (tx) => {
    const before = await findCategory(tx, actor.id, id, { lock: true });
    mustMatch(conditions, before.version);
    const { name, color } = { ...before, ...fields };
    if (name === before.name && color === before.color) return before;
    await tx
      .query({
        name: "categories-update",
        text: `UPDATE tasks.categories SET name = $2, color = $3, updated_at = $4, version = version + 1, name_key = $5
               WHERE id = $1`,
        values: [id, name, color, time, keyOf(name)],
      })
      .catch(taken);
    return { ...before, name, color, updated_at: time, version: before.version + 1 };
  });
}

/** Deletes a category: from now on it is gone for its owner. @throws Problem not-found, precondition-failed */
export async function deleteCategory(db: Database, id: string, write: WriteContext): Promise<void> {
  await db.transaction(async (tx) => {
    const { version } = await findCategory(tx, write.actor.id, id, { lock: true });
    mustMatch(write.conditions, version);
    await tx.query({
      name: "categories-delete",
      text: "UPDATE tasks.categories SET deleted_at = $2 WHERE id = $1",
      values: [id, write.time],
    });
  });
}

/**
 * Takes a deleted category off a batch of its tasks; off the last of them, the row goes as well. A task that was being
 * given it at that moment is found the next time.
 */
export async function forgetCategory(db: Database, id: string, write: WriteContext): Promise<Batch> {
  const { events, more } = await uncategorize(db, id, write);
  if (more) return { events, more };
  try {
    await db.query({
      name: "categories-forget",
      text: "DELETE FROM tasks.categories WHERE id = $1 AND deleted_at IS NOT NULL",
      values: [id],
    });
    return { events, more: false };
  } catch (error) {
    if (violatedConstraint(error, "23503") === null) throw error;
    return { events, more: true };
  }
}
