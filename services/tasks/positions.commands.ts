/**
 * Writes of positions. Each holds the lock of its order (`lockOrder`): it comes before the locks of rows, which come before
 * those of streams, so no two writes wait for each other in a circle. Two moves into one gap follow each other, and the
 * second one finds the first one there.
 */
import { invalidField, Problem, retryLater } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { commit, type WriteContext } from "../../mixins/event-log.ts";
import type { Batch } from "./batches.commands.ts";
import { saveOf } from "./bulk.commands.ts";
import { inSafeOrder, MOST_DIGITS, positionBetween, spreadBetween } from "./positions.ts";
import {
  type Anchor,
  findCrowd,
  findLast,
  findLong,
  findNeighbour,
  lockOrder,
  lockPlaced,
  orderName,
} from "./positions.queries.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { lockedAttempts, settle, type Written } from "./tasks.commands.ts";
import { type Move, taskEvents, type TaskStatus } from "./tasks.contract.ts";
import { columnFor, movement } from "./tasks.decisions.ts";
import { changeEvents } from "./tasks.events.ts";
import { may } from "./tasks.policy.ts";
import { findTask, type FoundTask } from "./tasks.queries.ts";

/** Seconds after which a place that has no room is tried again: a job makes room every minute. */
const CROWDED_S = 30;

/** @returns the neighbour @throws Problem validation-failed, neighbour-moved unless the task can be put next to it */
function neighbourIn(
  column: TaskStatus,
  { id, field, found }: { id: string; field: "before" | "after"; found: Anchor | undefined },
  task: FoundTask,
  actor: Actor,
): Anchor {
  if (id === task.id) throw invalidField(field, "neighbour", "A task can't go next to itself");
  if (found === undefined || !may(actor, "read", { ...task, assigned_to: found.assigned_to }))
    throw invalidField(
      field,
      "neighbour",
      task.project_id === null
        ? "There is no personal task of the same creator with this id"
        : "There is no task with this id in the project",
    );
  if (found.deleted_at !== null) throw new Problem("neighbour-moved", `Task ${id} was deleted`);
  if (found.status !== column)
    throw new Problem(
      "neighbour-moved",
      `Task ${id} is ${found.status}, and so is not in the column ${column}`,
    );
  return found;
}

/** @throws Problem overloaded when the place has no room for now */
function between(low: string | null, high: string | null): string {
  const position = positionBetween(low, high);
  if (position.length > MOST_DIGITS)
    throw retryLater("overloaded", "Too many tasks were moved to this place: it is being cleared", CROWDED_S);
  return position;
}

/**
 * The position that a move asks for; the task's own where it is there already.
 * @throws Problem validation-failed, neighbour-moved, overloaded
 */
async function positionFor(
  tx: Queryable,
  actor: Actor,
  task: FoundTask,
  column: TaskStatus,
  { before, after }: Move,
): Promise<string> {
  const id = before ?? after;
  if (id === undefined) {
    const last = await findLast(tx, task, column);
    return last === undefined || last.position < task.position
      ? task.position
      : between(last.position, last.next);
  }
  const field = before === undefined ? "after" : "before";
  const found = await findNeighbour(tx, task, id, field);
  const { position, next } = neighbourIn(column, { id, field, found }, task, actor);
  const [low, high] = field === "before" ? [next, position] : [position, next];
  const isThere = (low === null || low < task.position) && (high === null || task.position < high);
  return isThere ? task.position : between(low, high);
}

/**
 * Moves a task to another place in its column, or to another column.
 * @throws Problem not-found, forbidden, precondition-failed, project-archived, illegal-transition, validation-failed,
 *   neighbour-moved, overloaded
 */
export async function moveTask(db: Database, id: string, to: Move, write: WriteContext): Promise<Written> {
  // A caller who may not move the task holds up nobody who may.
  const seen = await findTask(db, write.actor, id);
  columnFor(seen, to.status, write);
  const attempt = async (tx: Queryable) => {
    await lockOrder(tx, seen);
    const task = await findTask(tx, write.actor, id, { lock: true });
    const status = columnFor(task, to.status, write);
    const position = await positionFor(tx, write.actor, task, status, to);
    return settle(tx, task, movement({ status, position }, write)(task), write);
  };
  return db.lines.run(orderName(seen), () => lockedAttempts(db, attempt));
}

/** Tasks that one call moves. */
const BATCH_TASKS = 100;

/**
 * Makes room around one long position: the tasks there get short ones in the same order, which holds after each of their
 * events. No client asked for it: it needs no right, and an archived project allows it. Deleted tasks keep their places
 * without an event, since nobody sees them.
 * @param time ISO 8601
 */
export async function spreadPositions(db: Database, time: string): Promise<Batch> {
  const long = await findLong(db);
  if (long === undefined) return { events: [], more: false };
  return db.transaction(async (tx) => {
    await lockOrder(tx, long);
    const { low, high, tasks } = await findCrowd(tx, long);
    // Where no short position is in the order, any place will do: the present one.
    const from = low ?? (high === null ? long.position : null);
    const spread = spreadBetween(from, high, tasks.length);
    const moves = inSafeOrder(tasks.map((task, n) => ({ ...task, to: spread[n] as string })));
    const batch = moves.slice(0, BATCH_TASKS);
    const ids = batch.map(({ id }) => id);
    const rows = new Map((await lockPlaced(tx, ids)).map((row) => [row.id, row]));
    const next = batch.flatMap(({ id, to }) => {
      const row = rows.get(id);
      if (row === undefined) return [];
      return [{ ...row, position: to, version: row.version + 1, updated_at: time, was: row.version }];
    });
    const cause = { actor: null, requestId: null, time };
    const events = next.flatMap(({ was: _was, ...row }) =>
      row.deleted_at === null
        ? changeEvents(rows.get(row.id) as TaskRow, row, cause, taskEvents.task_moved)
        : [],
    );
    const gone = next.filter((row) => row.deleted_at !== null);
    if (gone.length > 0) await placeUnseen(tx, gone);
    if (events.length === 0) return { events: [], more: true };
    const seen = saveOf(next.filter((row) => row.deleted_at === null));
    return { events: (await commit(tx, seen, events)) ?? [], more: true };
  });
}

/** Writes the positions of deleted tasks, whose rows are locked. */
async function placeUnseen(tx: Queryable, rows: TaskRow[]): Promise<void> {
  await tx.query({
    name: "tasks-place-unseen",
    text: `UPDATE tasks.tasks t SET position = g.position, version = g.version, updated_at = g.updated_at
           FROM json_to_recordset($1::json) AS g (${taskColumns.definitions}) WHERE t.id = g.id`,
    values: [JSON.stringify(rows)],
  });
}
