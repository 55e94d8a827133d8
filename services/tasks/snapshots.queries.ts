/** What a project's snapshot reads, out of one transaction (docs/reference.md, Snapshots). */
import type { Actor } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { projectStream } from "../../mixins/event-log.ts";
import { readHeads } from "../../mixins/event-log.queries.ts";
import type { EventMembership } from "../projects/projects.contract.ts";
import { commentColumns, type CommentRow } from "./comments.columns.ts";
import { commentView } from "./comments.view.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { findProject } from "./tasks.queries.ts";
import { taskView } from "./tasks.view.ts";

/** Rows that a cursor gives at a time. */
const ROWS = 200;

/** Plan: members_pkey. */
const MEMBERS = "SELECT user_id, role, since AS created_at FROM projects.memberships WHERE project_id = $1";
/** Plan: one of the indexes that begin with the project, or the table where the project fills most of it. */
const TASKS = `SELECT ${taskColumns.selected} FROM tasks.tasks t WHERE t.project_id = $1 AND t.deleted_at IS NULL`;
/** Of some tasks at a time: a join of all would hash the project before its first row. Plan: comments_task_idx. */
const COMMENTS = `SELECT ${commentColumns.selected} FROM tasks.comments t WHERE t.task_id = ANY ($1::uuid[])`;

/** The rows of a statement, some at a time. */
async function* rowsOf<Row extends object>(
  db: Queryable,
  cursor: string,
  text: string,
  value: unknown,
): AsyncGenerator<Row[]> {
  await db.query({ text: `DECLARE ${cursor} NO SCROLL CURSOR FOR ${text}`, values: [value] });
  for (let rows: Row[]; (rows = await db.query({ text: `FETCH ${ROWS} FROM ${cursor}` })).length > 0;)
    yield rows;
  await db.query({ text: `CLOSE ${cursor}` });
}

/**
 * The lines of a project's snapshot, some at a time.
 * @throws Problem not-found, also for a project that the caller may not see
 */
export async function* snapshotLines(db: Queryable, actor: Actor, project: string): AsyncGenerator<object[]> {
  const { id } = await findProject(db, actor, project);
  const stream = projectStream(id);
  const [{ head = 0, last_id = null } = {}] = await readHeads(db, [stream]);
  yield [{ type: "head", stream, seq: head, id: last_id }];
  let count = 0;
  const lines = (type: string, items: object[]): object[] => {
    count += items.length;
    return items.map((data) => ({ type, data }));
  };
  for await (const members of rowsOf<EventMembership["member"]>(db, "members", MEMBERS, id))
    yield lines("member", members);
  for await (const tasks of rowsOf<TaskRow>(db, "tasks", TASKS, id)) {
    yield lines("task", tasks.map(taskView));
    const ids = tasks.map((task) => task.id);
    for await (const comments of rowsOf<CommentRow>(db, "comments", COMMENTS, ids))
      yield lines("comment", comments.map(commentView));
  }
  yield [{ type: "end", count }];
}
