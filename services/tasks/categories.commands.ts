/** Writes of categories. A category is its owner's alone, so it has no events; the tasks that lose it have. */
import { mustMatch } from "../../core/preconditions.ts";
import { takenField } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { keyOf } from "../../core/text.ts";
import type { Database } from "../../mixins/database.ts";
import { violatedConstraint } from "../../mixins/database-errors.ts";
import type { WriteContext } from "../../mixins/event-log.ts";
import { rememberApart, remembered, rememberResponse, responseParameter } from "../../mixins/idempotency.ts";
import { type Batch, uncategorize } from "./batches.commands.ts";
import type { Category } from "./tasks.contract.ts";
import { categoryColumns, type CategoryInput, type CategoryRow } from "./categories.columns.ts";
import { findCategory } from "./categories.queries.ts";
import { categoryView } from "./categories.view.ts";

function taken(error: unknown): never {
  if (violatedConstraint(error) !== "categories_name_key") throw error;
  throw takenField("name", "You have a category of this name");
}

const INSERT = `WITH row AS (
  INSERT INTO tasks.categories (${categoryColumns.names}) VALUES (${categoryColumns.parameters(1)}) RETURNING id),
${rememberResponse(1 + categoryColumns.count)}
SELECT id FROM row`;
const UPDATE = `UPDATE tasks.categories SET ${categoryColumns.assignments(2)} WHERE id = $1`;

/** @throws Problem already-exists */
export async function createCategory(
  db: Database,
  input: CategoryInput,
  write: WriteContext,
): Promise<Category> {
  const { actor, time } = write;
  const row: CategoryRow = {
    id: newId(),
    user_id: actor.id,
    ...input,
    name_key: keyOf(input.name),
    version: 1,
    created_at: time,
    updated_at: time,
    deleted_at: null,
  };
  const answer = categoryView(row);
  const values = [...categoryColumns.valuesOf(row), responseParameter(remembered(write, answer))];
  await db.query({ name: "categories-insert", text: INSERT, values }).catch(taken);
  return answer;
}

/** @throws Problem not-found, precondition-failed, already-exists */
export async function patchCategory(
  db: Database,
  id: string,
  fields: Partial<CategoryInput>,
  write: WriteContext,
): Promise<Category> {
  return db.transaction(async (tx) => {
    const before = await findCategory(tx, write.actor.id, id, { lock: true });
    mustMatch(write.conditions, before.version);
    const after = { ...before, ...fields };
    if (Object.keys(categoryColumns.changesBetween(before, after)).length === 0) return categoryView(before);
    const next = {
      ...after,
      name_key: keyOf(after.name),
      version: before.version + 1,
      updated_at: write.time,
    };
    const answer = categoryView(next);
    await rememberApart(tx, remembered(write, answer));
    const values = [id, ...categoryColumns.changingValuesOf(next)];
    const outdates = [`category:${id}`];
    await tx.query({ name: "categories-update", text: UPDATE, values, outdates }).catch(taken);
    return answer;
  });
}

/** Hides a category from its owner; its row goes with the last task that has it. @throws Problem not-found, precondition-failed */
export async function deleteCategory(db: Database, id: string, write: WriteContext): Promise<void> {
  await db.transaction(async (tx) => {
    const { version } = await findCategory(tx, write.actor.id, id, { lock: true });
    mustMatch(write.conditions, version);
    await rememberApart(tx, remembered(write, null));
    await tx.query({
      name: "categories-delete",
      text: "UPDATE tasks.categories SET deleted_at = $2 WHERE id = $1",
      values: [id, write.time],
      outdates: [`category:${id}`],
    });
  });
}

/**
 * Takes a deleted category off a batch of its tasks, and removes the row once no task has it. A task that gets the
 * category at that moment keeps the row; the next call finds it.
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
