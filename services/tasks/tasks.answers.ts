import type { DataSchemas, EventData } from "../../core/events.ts";
import {
  changes,
  enumOf,
  integer,
  like,
  nullable,
  object,
  text,
  timestamp,
  uuid,
  versionFields,
} from "../../core/json-schema.ts";
import { person } from "../users/users.answers.ts";
import { categoryFields } from "./categories.answers.ts";
import { taskColumns } from "./tasks.columns.ts";
import { PRIORITIES, type Task, TASK_STATUSES, type TaskDetail, type taskEvents } from "./tasks.contract.ts";

const ADA = "0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f";
const PROJECT = "0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21";

export const taskFields = {
  id: uuid("0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d"),
  title: text("Write Note G"),
  description: nullable(text("How the engine computes Bernoulli numbers.")),
  status: enumOf(TASK_STATUSES),
  priority: like(enumOf(PRIORITIES), "high"),
  project_id: nullable(uuid(PROJECT, "Null for a personal task.")),
  category_id: nullable(categoryFields.id),
  created_by: uuid(ADA),
  assigned_to: nullable(uuid(ADA)),
  due_date: nullable(timestamp("2026-12-01T17:00:00.000Z")),
  completed_at: nullable(like(timestamp(""), null, "Follows `status`.")),
  position: like(
    { type: "string", pattern: "^[-0-9A-Z_a-z]{1,256}$" },
    "0193a5c61f8b7ab29d4e8c7b6a5f4e3d",
    "The task's place in the order of its project, or of its creator's personal tasks: compared by its bytes.",
  ),
  ...versionFields,
  deleted_at: { type: "string", format: "date-time", description: "Only in a deleted task." },
};

export const task = object<Task>("Task", taskFields, ["deleted_at"]);

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

type DataOf<Type extends keyof typeof taskEvents> = EventData<(typeof taskEvents)[Type]>;

const eventTask = object<DataOf<"task_created">["task"]>(
  "EventTask",
  {
    ...taskFields,
    title: nullable(text("Write Note G", "Null in events from before the task was redacted.")),
  },
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

export const taskEventData: DataSchemas<typeof taskEvents> = {
  task_created: taskAlone,
  task_updated: taskWithChanges,
  task_moved: taskWithChanges,
  task_assigned: taskWithChanges,
  task_completed: taskWithChanges,
  task_deleted: taskAlone,
  task_restored: taskAlone,
  task_redacted: taskAlone,
  task_due_soon: taskAlone,
};
