import type { EventDeclaration } from "../../core/events.ts";
import { type Cause, type NewEvent, newEvent, projectStream, userStream } from "../../mixins/event-log.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { type Comment, type Task, type TaskChanges, taskEvents } from "./tasks.contract.ts";
import { taskView } from "./tasks.view.ts";

type Field = keyof TaskChanges;

/** The differences between two states of a task; empty after a write that changed nothing. */
export const changesBetween = (before: TaskRow, after: TaskRow): TaskChanges =>
  taskColumns.changesBetween(before, after);

const pick = (changes: TaskChanges, fields: readonly Field[]): TaskChanges =>
  Object.fromEntries(Object.entries(changes).filter(([field]) => fields.includes(field as Field)));

type ChangeEvent = (typeof taskEvents)["task_completed" | "task_assigned" | "task_updated" | "task_moved"];
/** The event of the changes that no other one tells: `task_moved` for a move. */
export type RestEvent = (typeof taskEvents)["task_updated" | "task_moved"];

/** One event for each meaning of a change (docs/reference.md, Events): completed, assigned, and `restEvent` for the rest. */
function meanings(changes: TaskChanges, restEvent: RestEvent): [ChangeEvent, TaskChanges][] {
  const completed = changes.status?.new === "completed" ? pick(changes, ["status", "completed_at"]) : {};
  const assigned = pick(changes, ["assigned_to"]);
  const spokenFor = [...Object.keys(completed), ...Object.keys(assigned)];
  const rest = pick(
    changes,
    taskColumns.told.filter((field) => !spokenFor.includes(field)),
  );
  const all: [ChangeEvent, TaskChanges][] = [
    [taskEvents.task_completed, completed],
    [taskEvents.task_assigned, assigned],
    [restEvent, rest],
  ];
  return all.filter(([, part]) => Object.keys(part).length > 0);
}

/**
 * The streams that a task's event goes to: its project's; for a personal task its creator's and its assignee's. An
 * assignment goes to the new assignee's own stream as well, wherever the task lies.
 */
function streamsOf(
  task: Pick<Task, "project_id" | "created_by" | "assigned_to">,
  { type }: { type: string },
): string[] {
  const streams = task.project_id === null ? [userStream(task.created_by)] : [projectStream(task.project_id)];
  const assigneeHears = task.project_id === null || type === taskEvents.task_assigned.type;
  if (task.assigned_to !== null && assigneeHears) streams.push(userStream(task.assigned_to));
  return [...new Set(streams)];
}

function eventsFor<Data extends object>(
  declaration: EventDeclaration<string, Data>,
  row: TaskRow,
  data: Data,
  cause: Cause,
): NewEvent[] {
  return streamsOf(row, declaration).map((stream) => newEvent(stream, declaration, data, cause));
}

export function creationEvents(row: TaskRow, cause: Cause): NewEvent[] {
  const task = taskView(row);
  const created = eventsFor(taskEvents.task_created, row, { task }, cause);
  if (row.assigned_to === null || row.project_id === null) return created;
  // The project's event shows the assignee; the assignee may not be subscribed to the project.
  const changes: TaskChanges = { assigned_to: { old: null, new: row.assigned_to } };
  return [
    ...created,
    newEvent(userStream(row.assigned_to), taskEvents.task_assigned, { task, changes }, cause),
  ];
}

export function changeEvents(
  before: TaskRow,
  after: TaskRow,
  cause: Cause,
  restEvent: RestEvent = taskEvents.task_updated,
): NewEvent[] {
  const changes = changesBetween(before, after);
  return [
    ...meanings(changes, restEvent).flatMap(([declaration, part]) =>
      eventsFor(declaration, after, { task: taskView(after), changes: part }, cause),
    ),
    ...farewellEvents(before, after, cause),
  ];
}

export const deletionEvents = (row: TaskRow, cause: Cause): NewEvent[] =>
  eventsFor(taskEvents.task_deleted, row, { task: taskView(row) }, cause);

export const restorationEvents = (row: TaskRow, cause: Cause): NewEvent[] =>
  eventsFor(taskEvents.task_restored, row, { task: taskView(row) }, cause);

/** Without `changes`: they would show the texts. */
export const redactionEvents = (row: TaskRow, cause: Cause): NewEvent[] =>
  eventsFor(taskEvents.task_redacted, row, { task: taskView(row) }, cause);

export const dueSoonEvents = (row: TaskRow, cause: Cause): NewEvent[] =>
  eventsFor(taskEvents.task_due_soon, row, { task: taskView(row) }, cause);

/** Events of a comment go to the streams of its task. */
export const eventsOfComment = <Data extends object>(
  declaration: EventDeclaration<string, Data>,
  task: TaskRow,
  data: Data & { comment: Comment },
  cause: Cause,
): NewEvent[] => eventsFor(declaration, task, data, cause);

/** Tells a former assignee that they can't see a personal task any more, and shows nothing of its new state. */
function farewellEvents(before: TaskRow, after: TaskRow, cause: Cause): NewEvent[] {
  const former = before.assigned_to;
  if (before.project_id !== null || former === null) return [];
  if (former === after.assigned_to || former === before.created_by) return [];
  const data = {
    task: { ...taskView(before), assigned_to: null },
    changes: { assigned_to: { old: former, new: null } },
  };
  return [newEvent(userStream(former), taskEvents.task_assigned, data, cause)];
}
