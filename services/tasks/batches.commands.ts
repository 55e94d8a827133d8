/** Work in batches, which jobs and other services start: each call does a part of it and says whether there may be more. */
import { problemCode } from "../../core/errors.ts";
import type { CommittedEvent } from "../../core/events.ts";
import type { Conditions } from "../../core/kit.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { commit, withEvents, type WriteContext } from "../../mixins/event-log.ts";
import { findAssigned, findCategorized, lockDueSoon } from "./batches.queries.ts";
import { changeTask } from "./tasks.commands.ts";
import { clearing } from "./tasks.decisions.ts";
import { dueSoonEvents } from "./tasks.events.ts";

/** Tasks that one call handles. */
const BATCH_TASKS = 100;

/** The result of one call. */
export interface Batch {
  events: CommittedEvent[];
  /** Whether another call may find more to do. */
  more: boolean;
}

/** Tasks that nobody sees: they are cleared without an event. */
const UNSEEN = `(t.deleted_at IS NOT NULL
  OR (t.project_id IS NOT NULL AND t.project_id NOT IN (SELECT id FROM projects.summaries)))`;

/** The conditions of a write that no client asked for. */
export const UNCONDITIONAL: Conditions = { ifMatch: null, key: null };

/**
 * Clears a field of a batch of tasks that have `value` in it, wherever they lie and whatever the caller may see. Each task
 * is written by itself, since other writes may be under way; tasks that nobody sees come last.
 */
async function clear(
  db: Database,
  field: "assigned_to" | "category_id",
  value: string,
  ids: string[],
  write: WriteContext,
): Promise<Batch> {
  const everywhere: WriteContext = {
    ...write,
    actor: { ...write.actor, role: "admin" },
    conditions: UNCONDITIONAL,
  };
  const events: CommittedEvent[] = [];
  for (const id of ids) {
    try {
      events.push(...(await changeTask(db, id, everywhere, clearing(field, value, write))).events);
    } catch (error) {
      // The task was deleted meanwhile.
      if (problemCode(error) === "not-found") continue;
      // The events so far must be published; the next call meets the same error.
      if (events.length > 0) return { events, more: true };
      throw error;
    }
  }
  if (ids.length === BATCH_TASKS) return { events, more: true };
  return { events, more: (await clearUnseen(db, field, value, write.time)) === BATCH_TASKS };
}

/**
 * Clears a field of a batch of tasks that nobody sees. A project may be restored meanwhile: answers that show its tasks are
 * outdated.
 * @returns how many were cleared
 */
const clearUnseen = (db: Database, field: "assigned_to" | "category_id", value: string, time: string) =>
  db.transaction(async (tx) => {
    const unseen = await tx.query<{ id: string; project_id: string | null }>({
      name: `tasks-unseen-${field}`,
      text: `SELECT t.id, t.project_id FROM tasks.tasks t WHERE t.${field} = $1 AND ${UNSEEN} LIMIT $2 FOR NO KEY UPDATE`,
      values: [value, BATCH_TASKS],
    });
    if (unseen.length === 0) return 0;
    await tx.query({
      name: `tasks-clear-${field}`,
      text: `UPDATE tasks.tasks SET ${field} = NULL, version = version + 1, updated_at = $2 WHERE id = ANY ($1::uuid[])`,
      values: [unseen.map(({ id }) => id), time],
      outdates: unseen.flatMap(({ id, project_id }) => [
        `task:${id}`,
        `detail-of:${id}`,
        `tasks-of:${project_id}`,
      ]),
    });
    return unseen.length;
  });

/** Unassigns a batch of the tasks of a user who leaves, also in archived projects and in those that the caller can't see. */
export const unassignUser = async (db: Database, userId: string, write: WriteContext): Promise<Batch> =>
  clear(db, "assigned_to", userId, await findAssigned(db, userId, BATCH_TASKS), write);

/** Takes a category off a batch of its tasks. */
export const uncategorize = async (db: Database, categoryId: string, write: WriteContext): Promise<Batch> =>
  clear(db, "category_id", categoryId, await findCategorized(db, categoryId, BATCH_TASKS), write);

const ANNOUNCE = withEvents(
  `row AS (UPDATE tasks.tasks SET announced_due_date = due_date WHERE id = ANY ($1::uuid[]) RETURNING id)`,
  2,
);

/** Announces a batch of open tasks that are due until `until`, each due date once. The version stays: no client wrote. */
export async function announceDue(db: Database, until: string, time: string): Promise<Batch> {
  return db.transaction(async (tx) => {
    const due = await lockDueSoon(tx, until, BATCH_TASKS);
    if (due.length === 0) return { events: [], more: false };
    const events = due.flatMap((task) => dueSoonEvents(task, { actor: null, requestId: null, time }));
    const values = [due.map(({ id }) => id)];
    const logged = await commit(tx, { name: "tasks-announce", text: ANNOUNCE, values }, events);
    return { events: logged ?? [], more: due.length === BATCH_TASKS };
  });
}

/**
 * Removes a batch of tasks for good, with their comments: those deleted before a time (ISO 8601), or all of a project
 * that is being purged. Writes no event: nobody could see them any more.
 * @returns whether there may be more
 */
export async function purgeTasks(
  db: Queryable,
  { before = null, projectId = null }: { before?: string | null; projectId?: string | null },
): Promise<boolean> {
  const rows = await db.query({
    name: "tasks-purge",
    slow: "bounded",
    text: `DELETE FROM tasks.tasks WHERE id IN (
             SELECT id FROM tasks.tasks WHERE deleted_at < $1 OR project_id = $2 LIMIT $3 FOR UPDATE SKIP LOCKED)
           RETURNING id`,
    values: [before, projectId, BATCH_TASKS],
  });
  return rows.length === BATCH_TASKS;
}
