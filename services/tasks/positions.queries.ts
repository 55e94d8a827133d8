/**
 * Reads of the order of tasks. All tasks of a project are in one order, and so are the personal tasks of each creator.
 * Deleted tasks keep their places, since they can be restored. Plan: tasks_position_idx, for personal tasks
 * tasks_personal_position_idx; the last of a column by tasks_column_idx.
 */
import type { Queryable } from "../../mixins/database.ts";
import { LONG_DIGITS, SHORT_DIGITS } from "./positions.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import type { TaskStatus } from "./tasks.contract.ts";
import { PROJECT_THERE } from "./tasks.queries.ts";

/** A task in its order. */
export type Placed = Pick<TaskRow, "id" | "project_id" | "created_by" | "position">;

/** The order of a task: its name in statements, its condition, and the value of that condition's `$1`. */
const orderOf = ({ project_id, created_by }: Pick<Placed, "project_id" | "created_by">) =>
  project_id === null
    ? { kind: "personal", where: "t.project_id IS NULL AND t.created_by = $1", id: created_by }
    : { kind: "project", where: "t.project_id = $1", id: project_id };

/** The name of a task's order, and of its lock. */
export function orderName(task: Pick<Placed, "project_id" | "created_by">): string {
  const { kind, id } = orderOf(task);
  return `order ${kind} ${id}`;
}

/**
 * Waits until no other transaction changes positions of the task's order, and keeps others waiting until this one ends.
 * It comes before all other locks of a transaction, and positions read after it stay as they are.
 */
export async function lockOrder(
  tx: Queryable,
  task: Pick<Placed, "project_id" | "created_by">,
): Promise<void> {
  await tx.query({
    name: "tasks-lock-order",
    text: "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))",
    values: [orderName(task)],
  });
}

/** A task that another one is put next to, and the position that follows in that direction; null at the end. */
export type Anchor = Pick<TaskRow, "position" | "status" | "assigned_to" | "deleted_at"> & {
  next: string | null;
};

const ANCHOR = "t.position, t.status, t.assigned_to, t.deleted_at";

/** @param anchor the SELECT of the anchor; `$1` is the order, `$2` the task that moves, which is in nobody's way */
const withNext = (anchor: string, where: string, side: "before" | "after"): string => `
  SELECT a.*, (
    SELECT t.position FROM tasks.tasks t
    WHERE ${where} AND t.id <> $2 AND t.position ${side === "before" ? "<" : ">"} a.position
    ORDER BY t.position ${side === "before" ? "DESC" : ""} LIMIT 1) AS next
  FROM (${anchor}) a`;

/** The task `id`, deleted or not, if it is in the order of `task`, with the position on that side of it. */
export async function findNeighbour(
  tx: Queryable,
  task: Placed,
  id: string,
  side: "before" | "after",
): Promise<Anchor | undefined> {
  const order = orderOf(task);
  const anchor = `SELECT ${ANCHOR} FROM tasks.tasks t WHERE t.id = $3 AND ${order.where}`;
  const [found] = await tx.query<Anchor>({
    name: `tasks-neighbour-${order.kind}-${side}`,
    text: withNext(anchor, order.where, side),
    values: [order.id, task.id, id],
  });
  return found;
}

/** The last other task of a column, with the position after it. */
export async function findLast(tx: Queryable, task: Placed, column: TaskStatus): Promise<Anchor | undefined> {
  const order = orderOf(task);
  const anchor = `SELECT ${ANCHOR} FROM tasks.tasks t
    WHERE ${order.where} AND t.status = $3 AND t.deleted_at IS NULL AND t.id <> $2 ORDER BY t.position DESC LIMIT 1`;
  const [found] = await tx.query<Anchor>({
    name: `tasks-last-${order.kind}`,
    text: withNext(anchor, order.where, "after"),
    values: [order.id, task.id, column],
  });
  return found;
}

/** Some task with a long position, whose project is there. Plan: tasks_long_position_idx, by its order: Postgres can't count them. */
export async function findLong(db: Queryable): Promise<Placed | undefined> {
  const [found] = await db.query<Placed>({
    name: "tasks-long-position",
    text: `SELECT t.id, t.project_id, t.created_by, t.position
           FROM tasks.tasks t LEFT JOIN projects.summaries p ON p.id = t.project_id
           WHERE octet_length(t.position) > ${LONG_DIGITS} AND ${PROJECT_THERE} ORDER BY t.id LIMIT 1`,
  });
  return found;
}

/** Neighbouring tasks whose positions are not short, in their order, and the short positions on both sides of them. */
export interface Crowd {
  low: string | null;
  high: string | null;
  tasks: Pick<TaskRow, "id" | "position">[];
}

/** The crowd around a position. */
export async function findCrowd(tx: Queryable, task: Placed): Promise<Crowd> {
  const { kind, where, id } = orderOf(task);
  const short = `octet_length(t.position) <= ${SHORT_DIGITS}`;
  const values = [id, task.position];
  const [ends = { low: null, high: null }] = await tx.query<Omit<Crowd, "tasks">>({
    name: `tasks-crowd-ends-${kind}`,
    text: `SELECT (SELECT t.position FROM tasks.tasks t WHERE ${where} AND t.position < $2 AND ${short}
                   ORDER BY t.position DESC LIMIT 1) AS low,
                  (SELECT t.position FROM tasks.tasks t WHERE ${where} AND t.position > $2 AND ${short}
                   ORDER BY t.position LIMIT 1) AS high`,
    values,
  });
  const tasks = await tx.query<Pick<TaskRow, "id" | "position">>({
    name: `tasks-crowd-${kind}`,
    text: `SELECT t.id, t.position FROM tasks.tasks t
           WHERE ${where} AND t.position > coalesce($2, '') AND t.position < coalesce($3, '~')
           ORDER BY t.position, t.id`,
    values: [id, ends.low, ends.high],
  });
  return { ...ends, tasks };
}

/** The tasks of `ids`, locked in the order of their ids; without those that are gone. Plan: primary key. */
export function lockPlaced(tx: Queryable, ids: string[]): Promise<TaskRow[]> {
  return tx.query({
    name: "tasks-lock-placed",
    text: `SELECT ${taskColumns.selected} FROM tasks.tasks t WHERE t.id = ANY ($1::uuid[])
           ORDER BY t.id FOR NO KEY UPDATE`,
    values: [ids],
  });
}
