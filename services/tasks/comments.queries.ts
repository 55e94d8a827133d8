import { missing } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import { commentColumns } from "./comments.columns.ts";
import type { Comment } from "./tasks.contract.ts";
import { commentView } from "./comments.view.ts";

const TIMES = {
  created_at: { sql: "t.created_at", type: "timestamptz" },
  updated_at: { sql: "t.updated_at", type: "timestamptz" },
};

export const COMMENT_SORTS = Object.keys(TIMES);

/** The comments of a task that the caller may see, oldest first. Plan: comments_task_idx. */
export async function listComments(
  db: Queryable,
  actor: Actor,
  taskId: string,
  page: PageOf,
): Promise<Page<Comment>> {
  const parameters = new Parameters();
  const listing: Listing = {
    columns: commentColumns.selected,
    branches: [{ from: "tasks.comments t", where: [`t.task_id = ${parameters.add(taskId)}`] }],
    sorts: TIMES,
    sort: "created_at",
    indexed: ["created_at"],
    caller: actor.id,
  };
  return (await readPage<Comment>(db, listStatement(listing, page, parameters), page, commentView)).page;
}

/** One comment. Plan: primary key. @throws Problem not-found */
export async function findComment(db: Queryable, taskId: string, id: string): Promise<Comment> {
  if (!isId(id)) throw missing("comment", id);
  const [comment] = await db.query<Comment>({
    name: "comments-find",
    text: `SELECT ${commentColumns.names} FROM tasks.comments WHERE id = $1 AND task_id = $2`,
    values: [id, taskId],
  });
  if (comment === undefined) throw missing("comment", id);
  return comment;
}
