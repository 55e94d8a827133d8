import type { CommentRow } from "./comments.columns.ts";
import type { Comment } from "./tasks.contract.ts";

export const commentView = (row: CommentRow): Comment => ({
  id: row.id,
  task_id: row.task_id,
  author_id: row.author_id,
  body: row.body,
  version: row.version,
  created_at: row.created_at,
  updated_at: row.updated_at,
});
