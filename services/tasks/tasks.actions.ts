import { cachedText } from "../../core/cached-answer.ts";
import { page } from "../../core/json-schema.ts";
import { actionsOf } from "../../core/kit.ts";
import { type PageOf, pageRules } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { moveTask } from "./positions.commands.ts";
import { redactTask } from "./redaction.commands.ts";
import { task, taskDetail } from "./tasks.answers.ts";
import { taskColumns } from "./tasks.columns.ts";
import { changeTask, createTask, editTask } from "./tasks.commands.ts";
import { cachedTask, type TaskInput, type TasksContract } from "./tasks.contract.ts";
import { deletion, patch, replacement, restoration, transition } from "./tasks.decisions.ts";
import { TASK_SORTS, type TaskFilter } from "./tasks.list.ts";
import type { TasksLend } from "./tasks.methods.ts";
import { fields, filters, move, project, projectId, status, title } from "./tasks.params.ts";
import { findDetail } from "./tasks.queries.ts";
import { detailView } from "./tasks.view.ts";

const DEFAULTS = Object.entries(taskColumns.defaults)
  .map(([field, value]) => `\`${field}\` ${value === null ? "null" : `\`${value}\``}`)
  .join(", ");

export const taskActions = actionsOf<TasksContract, TasksLend>()({
  list: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: { project_id: projectId, ...filters, ...pageRules(...TASK_SORTS) },
    docs: {
      summary: "List the tasks that you may see",
      description:
        'Personal tasks and those of your projects, newest first by default. `q` searches titles and descriptions as web search engines do: `deploy -staging`, `"exact words"`, `this or that`. A word finds its English inflections and, from two characters on, the words that begin with it. A link or a path is found by its parts in a row, Chinese and Japanese text by any part of it. Words such as `the` count only in a search that has no others. The default sort of a search is `-rank`; a list that is sorted by rank holds the newest 10,000 of what matches. `include_deleted` adds deleted tasks that you created or whose project you manage. `archived=false` leaves out the tasks of archived projects, `archived=true` all others. Tasks without a due date sort after those with one.',
      answer: page(task),
    },
    handler(ctx) {
      return this.list(ctx.locals.actor, ctx.params as TaskFilter & PageOf);
    },
  },

  list_in_project: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: { project, ...filters, ...pageRules(...TASK_SORTS) },
    docs: {
      summary: "List a project's tasks",
      description: "Takes the filters and sorts of `GET /tasks`; newest first by default.",
      answer: page(task),
    },
    handler(ctx) {
      return this.list(ctx.locals.actor, ctx.params as TaskFilter & PageOf);
    },
  },

  create: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { project_id: rules.nullableId, title, ...fields },
    docs: {
      summary: "Create a task",
      description:
        "A task without `project_id` is personal: you and its assignee see it. It may start as `pending` or in any status that `pending` reaches in one step.",
      answer: task,
      problems: ["not-found", "forbidden", "project-archived", "illegal-transition"],
    },
    handler(ctx) {
      const { project_id = null, ...params } = ctx.params;
      const input = rules.omitUndefined(params) as TaskInput;
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await createTask(ctx, this, project_id, input)),
      );
    },
  },

  create_in_project: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { project, title, ...fields },
    docs: {
      summary: "Create a task in a project",
      answer: task,
      problems: ["forbidden", "project-archived", "illegal-transition"],
    },
    handler(ctx) {
      const { project, ...params } = ctx.params;
      const input = rules.omitUndefined(params) as TaskInput;
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await createTask(ctx, this, project, input)),
      );
    },
  },

  get: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: { id: rules.id },
    docs: { summary: "Read a task", answer: taskDetail },
    async handler(ctx) {
      const { actor } = ctx.locals;
      const detail = detailView(await findDetail(this.db, actor, ctx.params.id));
      return cachedText(cachedTask, ctx.params, actor, detail);
    },
  },

  replace: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, title, ...fields },
    docs: {
      summary: "Replace a task",
      description: `A field that you leave out goes back to its default: ${DEFAULTS}. 409 if the task can't move to the status.`,
      answer: task,
      problems: ["forbidden", "project-archived", "illegal-transition"],
    },
    handler(ctx) {
      const { id, ...params } = ctx.params;
      const input = rules.omitUndefined(params) as TaskInput;
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await editTask(ctx, this.db, id, input, replacement)),
      );
    },
  },

  patch: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, title: { ...title, optional: true }, ...fields },
    docs: {
      summary: "Change a task",
      description:
        "A field that you leave out stays as it is. A request that changes nothing leaves the version as it is, too.",
      answer: task,
      problems: ["forbidden", "project-archived", "illegal-transition"],
    },
    handler(ctx) {
      const { id, ...params } = ctx.params;
      const input = rules.omitUndefined(params);
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await editTask(ctx, this.db, id, input, patch)),
      );
    },
  },

  delete: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id },
    docs: {
      summary: "Delete a task",
      description:
        "For the project's managers and owners, or the creator of a personal task. A deleted task can be restored until it is purged, by default 30 days later.",
      answer: null,
      problems: ["forbidden", "project-archived"],
    },
    async handler(ctx) {
      const write = writeContext(ctx);
      await withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await changeTask(this.db, ctx.params.id, write, deletion(write))),
      );
    },
  },

  restore: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id },
    docs: {
      summary: "Restore a deleted task",
      description: "Takes the rights that deleting it takes. 404 for a task that is not deleted.",
      answer: task,
      problems: ["forbidden", "project-archived"],
    },
    handler(ctx) {
      const { id } = ctx.params;
      const write = writeContext(ctx);
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await changeTask(this.db, id, write, restoration(write), { deleted: true })),
      );
    },
  },

  assign: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, assigned_to: { ...rules.id, nullable: true } },
    docs: {
      summary: "Assign a task",
      description:
        "The assignee is an active user who can see the task's project, or who shares a project with the creator of a personal task; `null` unassigns the task. For the project's managers and owners, or the creator of a personal task; the assignee may give the task back (`null`) in any role.",
      answer: task,
      problems: ["forbidden", "project-archived"],
    },
    handler(ctx) {
      const { id, assigned_to } = ctx.params;
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await editTask(ctx, this.db, id, { assigned_to }, patch)),
      );
    },
  },

  transition: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, to: { ...status, example: "in_progress" } },
    docs: {
      summary: "Move a task to another status",
      description:
        "`pending` → `in_progress`, `completed`, `cancelled`; `in_progress` → `pending`, `completed`, `cancelled`; `completed` → `in_progress`, `archived`; `cancelled` → `pending`, `archived`. Strict: the present status is refused, too, so that of many callers who claim a task one succeeds.",
      answer: task,
      problems: ["forbidden", "project-archived", "illegal-transition"],
    },
    handler(ctx) {
      const { id, to } = ctx.params;
      const write = writeContext(ctx);
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await changeTask(this.db, id, write, transition(to, write))),
      );
    },
  },

  move: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id, ...move },
    docs: {
      summary: "Move a task on its board",
      description:
        "All tasks of a project are in one order, that of `position`, and so are the personal tasks of each creator; a column of a board is a status in that order. The task goes directly `before` or `after` another task of the column, or without both to the column's end. `status` names the column, by default the task's own; another one needs a transition that the task may take. The server makes the position: of any number of clients that move tasks to one place each succeeds. 409 `neighbour-moved` if the other task has left the column or was deleted.",
      answer: task,
      problems: ["forbidden", "project-archived", "illegal-transition", "neighbour-moved"],
    },
    handler(ctx) {
      const { id, ...to } = rules.omitUndefined(ctx.params) as typeof ctx.params;
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await moveTask(this.db, id, to, writeContext(ctx))),
      );
    },
  },

  redact: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { id: rules.id },
    docs: {
      summary: "Take a task's texts out of the log",
      description:
        "For a pasted secret: title and description are removed for good. The task is then titled `[redacted]`, without a description, and in all events of the task these texts are null, `changes` included. Nothing else ever changes the log. Comments stay; each is redacted by itself. A deleted task can be redacted, too. Clients that have read the texts keep them, and so do backups. For the project's managers and owners, or the creator of a personal task.",
      answer: task,
      problems: ["forbidden", "project-archived"],
    },
    handler(ctx) {
      return withIdempotencyKey(this.db, ctx, async () =>
        this.publish(await redactTask(this.db, ctx.params.id, writeContext(ctx))),
      );
    },
  },
});
