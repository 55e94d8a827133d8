/**
 * Each write: read, decide in pure functions (tasks.decisions.ts), commit rows and events in one statement that compares
 * the version and sets it. No lock is held while we think. Who loses the race reads and decides again; who lost it twice
 * decides once more with the row locked, so that a busy task fails nobody.
 */
import type { LoggedEvent } from "../../core/events.ts";
import { invalidField, problemCode, retryLater } from "../../core/errors.ts";
import { type Database, type Queryable, type Statement, violatedConstraint } from "../../mixins/database.ts";
import { commit, type Guards, type NewEvent, withEvents, type WriteContext } from "../../mixins/event-log.ts";
import { rememberUnchanged } from "../../mixins/idempotency.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import type { Task } from "./tasks.contract.ts";
import { clearing, type Decide, type Decision } from "./tasks.decisions.ts";
import { dueSoonEvents } from "./tasks.events.ts";
import {
  findAssigned,
  findCategorized,
  findTask,
  type FoundTask,
  guardsOf,
  lockDueSoon,
} from "./tasks.queries.ts";
import { taskView } from "./tasks.view.ts";

/** What a write answers, and what it tells the world. */
export interface Written<Answer = Task> {
  answer: Answer;
  events: LoggedEvent[];
}

const [LOST_RACES, LOCKED_RACES] = [2, 5];

/** Reads and tries, anew while somebody else is faster, and at last in transactions with what it read locked. */
export async function attempts<Result>(
  db: Database,
  attempt: (on: Queryable, lock: boolean) => Promise<Result | null>,
): Promise<Result> {
  for (let race = 0; race < LOST_RACES; race++) {
    const result = await attempt(db, false);
    if (result !== null) return result;
  }
  return lockedAttempts(db, (tx) => attempt(tx, true));
}

/**
 * The same with all that is read locked, where only the project around it may still change.
 * @param timeoutMs milliseconds that a statement may take, where DATABASE_TIMEOUT is not enough
 */
export async function lockedAttempts<Result>(
  db: Database,
  attempt: (tx: Queryable) => Promise<Result | null>,
  timeoutMs?: number,
): Promise<Result> {
  for (let race = 0; race < LOCKED_RACES; race++) {
    const result = await db.transaction(attempt, timeoutMs);
    if (result !== null) return result;
  }
  throw retryLater("overloaded", "Too many changes at once");
}

const INSERT = withEvents(
  `row AS (
     INSERT INTO tasks.tasks (${taskColumns.names}) VALUES (${taskColumns.parameters(1)}) RETURNING id)`,
  1 + taskColumns.count,
);

/** A category that goes while it is being given to a task. */
export function missingCategory(error: unknown): never {
  if (violatedConstraint(error, "23503") !== "tasks_category_id_fkey") throw error;
  throw invalidField("category_id", "category", "You have no category with this id");
}

/** Writes a new task. @returns null when who may do that has changed meanwhile */
export async function createTask(
  db: Queryable,
  { next, events }: Decision,
  write: WriteContext,
  guards: Guards,
): Promise<Written | null> {
  const answer = taskView(next);
  const remembered = { userId: write.actor.id, key: write.conditions.key, response: answer };
  const statement = { name: "tasks-insert", text: INSERT, values: taskColumns.valuesOf(next) };
  const logged = await commit(db, statement, events, remembered, guards).catch(missingCategory);
  return logged && { answer, events: logged };
}

const UPDATE = withEvents(
  `row AS (
     UPDATE tasks.tasks SET ${taskColumns.assignments(3)} WHERE id = $1 AND version = $2 RETURNING id)`,
  3 + taskColumns.changing.length,
);

/** Writes `next` over the row that is still as it was found. */
export const updateOf = (next: TaskRow, found: FoundTask): Statement => ({
  name: "tasks-update",
  text: UPDATE,
  values: [next.id, found.version, ...taskColumns.changingValuesOf(next)],
});

/** @returns null when somebody was faster */
function update(db: Queryable, next: TaskRow, found: FoundTask, events: NewEvent[], write: WriteContext) {
  const answer = { userId: write.actor.id, key: write.conditions.key, response: taskView(next) };
  return commit(db, updateOf(next, found), events, answer, guardsOf(found));
}

/**
 * Changes the task that the caller may see (among the deleted ones, with `deleted`) as `decide` says.
 * @param check asks others whether that will do, once it is clear that the caller may: what it finds holds until the commit
 * @throws Problem not-found; what `decide` and `check` throw
 */
export async function changeTask(
  db: Database,
  id: string,
  write: WriteContext,
  decide: Decide,
  { deleted = false, check }: { deleted?: boolean; check?: (task: FoundTask) => Promise<void> } = {},
): Promise<Written> {
  return attempts(db, async (on, lock) => {
    const found = await findTask(on, write.actor, id, { lock, deleted });
    const { next, events } = decide(found);
    await check?.(found);
    if (events.length === 0) {
      const answer = taskView(found);
      const { key } = write.conditions;
      await rememberUnchanged(on, { userId: write.actor.id, key, response: answer });
      return { answer, events: [] };
    }
    const logged = await update(on, next, found, events, write).catch(missingCategory);
    return logged === null ? null : { answer: taskView(next), events: logged };
  });
}

/** Tasks that one call to one of the functions below handles. */
const BATCH = 100;

/** A piece of work that may take several calls. */
export interface Batch {
  events: LoggedEvent[];
  /** Whether there may be more to do. */
  more: boolean;
}

/** Tasks that are deleted, or whose project is, are cleared without an event: nobody sees them. */
const UNSEEN = `(t.deleted_at IS NOT NULL
  OR (t.project_id IS NOT NULL AND t.project_id NOT IN (SELECT id FROM projects.summaries)))`;

/**
 * Takes a value out of a field of a batch of tasks, wherever they lie and whoever asks: each by itself, since others may
 * be at work on it; those that nobody sees at the end.
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
    conditions: { ifMatch: null, key: null },
  };
  const events: LoggedEvent[] = [];
  for (const id of ids) {
    try {
      events.push(...(await changeTask(db, id, everywhere, clearing(field, value, write))).events);
    } catch (error) {
      // Deleted meanwhile.
      if (problemCode(error) === "not-found") continue;
      // What happened has to be told of; the rest meets the same error when it is tried again.
      if (events.length > 0) return { events, more: true };
      throw error;
    }
  }
  if (ids.length === BATCH) return { events, more: true };
  const cleared = await db.query({
    name: `tasks-clear-${field}`,
    slow: "bounded",
    text: `UPDATE tasks.tasks SET ${field} = NULL, version = version + 1, updated_at = $2
           WHERE id IN (SELECT t.id FROM tasks.tasks t WHERE t.${field} = $1 AND ${UNSEEN} LIMIT $3 FOR NO KEY UPDATE)
           RETURNING id`,
    values: [value, write.time, BATCH],
  });
  return { events, more: cleared.length === BATCH };
}

/** Unassigns a batch of the tasks of a user who leaves, also in archived projects and where the caller sees nothing. */
export const unassignUser = async (db: Database, userId: string, write: WriteContext): Promise<Batch> =>
  clear(db, "assigned_to", userId, await findAssigned(db, userId, BATCH), write);

/** Takes a category off a batch of its tasks. */
export const uncategorize = async (db: Database, categoryId: string, write: WriteContext): Promise<Batch> =>
  clear(db, "category_id", categoryId, await findCategorized(db, categoryId, BATCH), write);

const ANNOUNCE = withEvents(
  `row AS (UPDATE tasks.tasks SET announced_due_date = due_date WHERE id = ANY ($1::uuid[]) RETURNING id)`,
  2,
);

/** Tells of a batch of open tasks that are due until `until`, of each due date once. Changes no version: nobody wrote. */
export async function announceDue(db: Database, until: string, time: string): Promise<Batch> {
  return db.transaction(async (tx) => {
    const due = await lockDueSoon(tx, until, BATCH);
    if (due.length === 0) return { events: [], more: false };
    const events = due.flatMap((task) => dueSoonEvents(task, { actor: null, requestId: null, time }));
    const values = [due.map(({ id }) => id)];
    const logged = await commit(tx, { name: "tasks-announce", text: ANNOUNCE, values }, events);
    return { events: logged ?? [], more: due.length === BATCH };
  });
}

/**
 * Removes a batch of tasks for good, comments and all: those that were deleted before a time (ISO 8601), or all of a
 * project that is going. No event: they were gone for everybody. @returns whether there may be more
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
    values: [before, projectId, BATCH],
  });
  return rows.length === BATCH;
}
