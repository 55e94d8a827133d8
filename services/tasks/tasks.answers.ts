/** tasks.contract.ts as JSON Schemas. */
import type { DataSchemas, EventData } from "../../core/events.ts";
import {
  array,
  changes,
  enumOf,
  exampleOf,
  integer,
  like,
  nullable,
  object,
  problem,
  text,
  timestamp,
  uuid,
} from "../../core/json-schema.ts";
import { person } from "../users/users.answers.ts";
import { taskColumns } from "./tasks.columns.ts";
import type { taskEvents } from "./tasks.contract.ts";
import {
  type BulkOperation,
  type BulkResult,
  type Category,
  type Comment,
  PRIORITIES,
  type Task,
  TASK_STATUSES,
  type TaskDetail,
} from "./tasks.contract.ts";

const ADA = "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f";
const TASK = "0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d";
const PROJECT = "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21";
const CATEGORY = "0193a5c7-3a9c-7bc3-ae5f-9d8c7b6a5f4e";

const versionFields = {
  version: integer(1, "Counts the changes; the `ETag` is made of it."),
  created_at: timestamp("2026-11-21T09:30:00.000Z"),
  updated_at: timestamp("2026-11-21T09:30:00.000Z"),
};

const taskFields = {
  id: uuid(TASK),
  title: text("Write Note G"),
  description: nullable(text("How the engine computes Bernoulli numbers.")),
  status: enumOf(TASK_STATUSES),
  priority: like(enumOf(PRIORITIES), "high"),
  project_id: nullable(uuid(PROJECT, "Null for a personal task.")),
  category_id: nullable(uuid(CATEGORY)),
  created_by: uuid(ADA),
  assigned_to: nullable(uuid(ADA)),
  due_date: nullable(timestamp("2026-12-01T17:00:00.000Z")),
  completed_at: nullable(like(timestamp(""), null, "Follows `status`.")),
  ...versionFields,
  deleted_at: { type: "string", format: "date-time", description: "There in a deleted task alone." },
};

export const task = object<Task>("Task", taskFields, ["deleted_at"]);

const categoryFields = {
  id: uuid(CATEGORY),
  name: text("Mathematics"),
  color: like({ type: "string", pattern: "^#[0-9A-F]{6}$" }, "#1E90FF", "`#RRGGBB`"),
};

export const taskDetail = object<TaskDetail>(
  "TaskDetail",
  {
    ...taskFields,
    project: nullable(
      object<NonNullable<TaskDetail["project"]>>("TaskProject", {
        id: uuid(PROJECT),
        slug: text("analytical-engine"),
        name: text("Analytical Engine"),
      }),
    ),
    creator: person,
    assignee: nullable(person),
    category: nullable(object<NonNullable<TaskDetail["category"]>>("TaskCategory", categoryFields)),
    comment_count: integer(0),
  },
  ["deleted_at"],
);

const commentFields = {
  id: uuid("0193a5c8-5bad-7cd4-bf60-ae9d8c7b6a5f"),
  task_id: uuid(TASK),
  author_id: uuid(ADA),
  body: text("The table of operations is done."),
  ...versionFields,
};

export const comment = object<Comment>("Comment", commentFields);

export const category = object<Category>("Category", { ...categoryFields, ...versionFields });

const OPERATIONS = [
  "create",
  "update",
  "transition",
  "assign",
  "delete",
] as const satisfies BulkOperation["op"][];

const bulkResult = object<BulkResult>(
  "BulkResult",
  {
    op: enumOf(OPERATIONS),
    status: integer(201, "What the same request on its own would have answered."),
    task,
    problem,
  },
  ["task", "problem"],
);

export const bulkAnswer = object<{ results: BulkResult[] }>("BulkAnswer", {
  results: array(like(bulkResult, { op: "create", status: 201, task: exampleOf(task) })),
});

type DataOf<Type extends keyof typeof taskEvents> = EventData<(typeof taskEvents)[Type]>;

const eventTask = object<DataOf<"task_created">["task"]>(
  "EventTask",
  { ...taskFields, title: nullable(text("Write Note G", "Null where the task was redacted.")) },
  ["deleted_at"],
);
const taskAlone = object<DataOf<"task_created">>("TaskEventData", { task: eventTask });
const taskChanges = changes(
  "TaskChanges",
  Object.fromEntries(taskColumns.told.map((field) => [field, taskFields[field]])),
);
const taskWithChanges = object<DataOf<"task_updated">>("TaskChangeData", {
  task: eventTask,
  changes: taskChanges,
});

const eventComment = object<DataOf<"comment_created">["comment"]>("EventComment", {
  ...commentFields,
  body: nullable(text("The table of operations is done.", "Null where the comment was redacted.")),
});
const commentAlone = object<DataOf<"comment_created">>("CommentEventData", { comment: eventComment });

export const taskEventData: DataSchemas<typeof taskEvents> = {
  task_created: taskAlone,
  task_updated: taskWithChanges,
  task_assigned: taskWithChanges,
  task_completed: taskWithChanges,
  task_deleted: taskAlone,
  task_restored: taskAlone,
  task_redacted: taskAlone,
  task_due_soon: taskAlone,
  comment_created: commentAlone,
  comment_updated: object<DataOf<"comment_updated">>("CommentChangeData", {
    comment: eventComment,
    changes: changes("CommentChanges", { body: text("The table of operations is done.") }),
  }),
  comment_deleted: commentAlone,
  comment_redacted: commentAlone,
};
