import {
  type Cause,
  type EventType,
  type NewEvent,
  newEvent,
  projectStream,
  userStream,
} from "../../mixins/event-log.ts";
import type { Comment, Task } from "./tasks.contract.ts";
import { taskView, type TaskRow } from "./tasks.view.ts";

type Field =
  | "title"
  | "description"
  | "status"
  | "priority"
  | "category_id"
  | "assigned_to"
  | "due_date"
  | "completed_at";
const FIELDS: readonly Field[] = [
  "title",
  "description",
  "status",
  "priority",
  "category_id",
  "assigned_to",
  "due_date",
  "completed_at",
];

export type Changes = Partial<Record<Field, { old: unknown; new: unknown }>>;

/** What differs between two states of a task; empty when a write changed nothing. */
export function changesBetween(before: TaskRow, after: TaskRow): Changes {
  return Object.fromEntries(
    FIELDS.filter((field) => before[field] !== after[field]).map((field) => [
      field,
      { old: before[field], new: after[field] },
    ]),
  );
}

const pick = (changes: Changes, fields: readonly Field[]): Changes =>
  Object.fromEntries(Object.entries(changes).filter(([field]) => fields.includes(field as Field)));

/** One event for each meaning of a change (contract.md §6): completed, assigned, and updated for what is left. */
function meanings(changes: Changes): [EventType, Changes][] {
  const completed = changes.status?.new === "completed" ? pick(changes, ["status", "completed_at"]) : {};
  const assigned = pick(changes, ["assigned_to"]);
  const spokenFor = [...Object.keys(completed), ...Object.keys(assigned)];
  const rest = pick(
    changes,
    FIELDS.filter((field) => !spokenFor.includes(field)),
  );
  const all: [EventType, Changes][] = [
    ["task_completed", completed],
    ["task_assigned", assigned],
    ["task_updated", rest],
  ];
  return all.filter(([, part]) => Object.keys(part).length > 0);
}

/**
 * Who hears of a task's event: a project's stream; for a personal task its creator and its assignee. An assignment is
 * news on the new assignee's own stream too, wherever the task lies.
 */
function audience(task: Pick<Task, "project_id" | "created_by" | "assigned_to">, type: EventType): string[] {
  const own = task.project_id === null ? [userStream(task.created_by)] : [projectStream(task.project_id)];
  const assigneeHears = task.project_id === null || type === "task_assigned";
  if (task.assigned_to !== null && assigneeHears) own.push(userStream(task.assigned_to));
  return [...new Set(own)];
}

function eventsFor(type: EventType, row: TaskRow, changes: Changes | undefined, cause: Cause): NewEvent[] {
  const task = taskView(row);
  const data = changes === undefined ? { task } : { task, changes };
  return audience(task, type).map((stream) => newEvent(stream, type, data, cause));
}

export function creationEvents(row: TaskRow, cause: Cause): NewEvent[] {
  const created = eventsFor("task_created", row, undefined, cause);
  if (row.assigned_to === null || row.project_id === null) return created;
  // The project hears of the new task, assignee and all; the assignee may not be looking at the project.
  const changes: Changes = { assigned_to: { old: null, new: row.assigned_to } };
  return [
    ...created,
    newEvent(userStream(row.assigned_to), "task_assigned", { task: taskView(row), changes }, cause),
  ];
}

export function changeEvents(before: TaskRow, after: TaskRow, cause: Cause): NewEvent[] {
  const changes = changesBetween(before, after);
  return [
    ...meanings(changes).flatMap(([type, part]) => eventsFor(type, after, part, cause)),
    ...farewell(before, after, cause),
  ];
}

export const deletionEvents = (row: TaskRow, cause: Cause): NewEvent[] =>
  eventsFor("task_deleted", row, undefined, cause);

export const restorationEvents = (row: TaskRow, cause: Cause): NewEvent[] =>
  eventsFor("task_restored", row, undefined, cause);

/** Without `changes`: they would tell what was taken out. */
export const redactionEvents = (row: TaskRow, cause: Cause): NewEvent[] =>
  eventsFor("task_redacted", row, undefined, cause);

export const dueSoonEvents = (row: TaskRow, cause: Cause): NewEvent[] =>
  eventsFor("task_due_soon", row, undefined, cause);

/** What happened to a comment is news to those who see its task. */
export const commentEvents = (
  type: "comment_created" | "comment_updated" | "comment_deleted" | "comment_redacted",
  task: TaskRow,
  comment: Comment,
  cause: Cause,
  changes?: { body: { old: string; new: string } },
): NewEvent[] =>
  audience(task, type).map((stream) =>
    newEvent(stream, type, changes === undefined ? { comment } : { comment, changes }, cause),
  );

/** Who loses sight of a personal task hears that, and sees no more of it than they could before. */
function farewell(before: TaskRow, after: TaskRow, cause: Cause): NewEvent[] {
  const former = before.assigned_to;
  if (before.project_id !== null || former === null) return [];
  if (former === after.assigned_to || former === before.created_by) return [];
  const data = {
    task: { ...taskView(before), assigned_to: null },
    changes: { assigned_to: { old: former, new: null } },
  };
  return [newEvent(userStream(former), "task_assigned", data, cause)];
}

/** The names (mixins/cache.ts) of what answers were made of that an event outdates. */
export function outdatedBy({ data }: Pick<NewEvent, "data">): string[] {
  const { task, comment } = data as { task?: Task; comment?: Comment };
  if (comment !== undefined) return [`task:${comment.task_id}`];
  if (task === undefined) return [];
  return [`task:${task.id}`, ...(task.project_id === null ? [] : [`tasks-of:${task.project_id}`])];
}
