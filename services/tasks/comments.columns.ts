import { defineColumns } from "../../mixins/columns.ts";
import type { Comment } from "./tasks.contract.ts";

/** A row of tasks.comments. */
export type CommentRow = Comment;

export const commentColumns = defineColumns<CommentRow, Pick<Comment, "body">>({
  id: { type: "uuid", once: true },
  task_id: { type: "uuid", once: true },
  author_id: { type: "uuid", once: true },
  body: { type: "text", required: true },
  version: { type: "int" },
  created_at: { type: "timestamptz", once: true },
  updated_at: { type: "timestamptz" },
});
