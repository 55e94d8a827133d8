import { actionsOf } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { page } from "../../core/json-schema.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { createComment, deleteComment, patchComment } from "./comments.commands.ts";
import { redactComment } from "./redaction.commands.ts";
import type { TasksContract } from "./tasks.contract.ts";
import { COMMENT_SORTS, findComment, listComments } from "./comments.queries.ts";
import { body } from "./comments.params.ts";
import { comment } from "./comments.answers.ts";
import type { TasksLend } from "./tasks.methods.ts";
import { findTask } from "./tasks.queries.ts";

export const commentActions = actionsOf<TasksContract, TasksLend>()({
  list_comments: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: { id: rules.id, ...pageRules(...COMMENT_SORTS) },
    docs: {
      summary: "List a task's comments",
      description: "Oldest first by default.",
      answer: page(comment),
    },
    async handler(ctx) {
      const { id, ...page } = ctx.params;
      await findTask(this.db, ctx.locals.actor, id);
      return listComments(this.db, ctx.locals.actor, id, page as PageOf);
    },
  },

  create_comment: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, body },
    docs: { summary: "Comment on a task", answer: comment, problems: ["forbidden", "project-archived"] },
    handler(ctx) {
      const { id, body } = ctx.params;
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await createComment(this.db, id, body, writeContext(ctx))),
      );
    },
  },

  get_comment: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: { id: rules.id, comment_id: rules.nestedId },
    docs: { summary: "Read a comment", answer: comment },
    async handler(ctx) {
      const { id, comment_id } = ctx.params;
      await findTask(this.db, ctx.locals.actor, id);
      return findComment(this.db, id, comment_id);
    },
  },

  patch_comment: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, comment_id: rules.nestedId, body },
    docs: { summary: "Edit your comment", answer: comment, problems: ["forbidden", "project-archived"] },
    handler(ctx) {
      const { id, comment_id, body } = ctx.params;
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await patchComment(this.db, id, comment_id, body, writeContext(ctx))),
      );
    },
  },

  delete_comment: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, comment_id: rules.nestedId },
    docs: {
      summary: "Delete a comment",
      description: "For its author, and for the project's managers and owners.",
      answer: null,
      problems: ["forbidden", "project-archived"],
    },
    async handler(ctx) {
      const { id, comment_id } = ctx.params;
      await withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await deleteComment(this.db, id, comment_id, writeContext(ctx))),
      );
    },
  },

  redact_comment: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, comment_id: rules.id },
    docs: {
      summary: "Take a comment's text out of the log",
      description:
        "Works as for a task: the comment then says `[redacted]`, and in the log its text is null. A deleted comment can be redacted, too: the log still has its text. For the project's managers and owners, or the creator of a personal task.",
      answer: comment,
      problems: ["forbidden", "project-archived"],
    },
    handler(ctx) {
      const { id, comment_id } = ctx.params;
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await redactComment(this.db, id, comment_id, writeContext(ctx))),
      );
    },
  },
});
