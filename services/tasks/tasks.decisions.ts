/**
 * What each write makes of the task that it found: pure, so that single writes and bulk ones decide alike. Each looks in
 * the same order: may the caller do this, is it still the version that they saw, does the task's state allow it.
 */
import { mustMatch } from "../../core/preconditions.ts";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { NewEvent, WriteContext } from "../../mixins/event-log.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import type { TaskInput, TaskStatus } from "./tasks.contract.ts";
import {
  changeEvents,
  changesBetween,
  creationEvents,
  deletionEvents,
  redactionEvents,
  restorationEvents,
} from "./tasks.events.ts";
import { may, type TaskVerb, whyNot } from "./tasks.policy.ts";
import type { FoundTask } from "./tasks.queries.ts";
import { checkTransition, completedAt } from "./tasks.status.ts";
import { REDACTED } from "./tasks.view.ts";

/** The next row and its events. No events: nothing changes, and nothing is written. */
export interface Decision {
  next: TaskRow;
  events: NewEvent[];
}

export type Decide = (task: FoundTask) => Decision;

/** @throws Problem forbidden, precondition-failed, project-archived */
export function mustBeAllowed(task: FoundTask, verbs: readonly TaskVerb[], write: WriteContext): void {
  const refused = verbs.find((verb) => !may(write.actor, verb, task));
  if (refused !== undefined) throw new Problem("forbidden", whyNot(refused, task));
  mustMatch(write.conditions, task.version);
  if (task.project_status === "archived") throw new Problem("project-archived");
}

function rowOf({
  project_role: _role,
  project_status: _status,
  members_version: _v,
  ...row
}: FoundTask): TaskRow {
  return row;
}

/** The row after `fields` were set. A write that changes nothing leaves no event, and so no new version. */
function changed(task: FoundTask, fields: Partial<TaskInput>, write: WriteContext): Decision {
  const before = rowOf(task);
  const status = fields.status ?? before.status;
  const completed_at = completedAt(before, status, write.time);
  const after: TaskRow = { ...before, ...fields, status, completed_at };
  if (Object.keys(changesBetween(before, after)).length === 0) return { next: before, events: [] };
  const next = { ...after, version: before.version + 1, updated_at: write.time };
  return { next, events: changeEvents(before, next, write) };
}

/** A new task. Who may, and whether assignee and category will do, is decided before. @throws Problem illegal-transition */
export function creation(input: TaskInput, projectId: string | null, write: WriteContext): Decision {
  const fields = { ...taskColumns.defaults, ...input };
  const { status } = fields;
  if (status !== "pending") checkTransition("pending", status);
  const next: TaskRow = {
    id: newId(),
    ...fields,
    project_id: projectId,
    created_by: write.actor.id,
    completed_at: status === "completed" ? write.time : null,
    version: 1,
    created_at: write.time,
    updated_at: write.time,
    deleted_at: null,
  };
  return { next, events: creationEvents(next, write) };
}

/**
 * Sets the fields that are named. A status must be reachable; naming the present one changes nothing. An assignee may
 * give the task back whatever their role.
 * @throws Problem forbidden, precondition-failed, project-archived, illegal-transition
 */
export const patch =
  (fields: Partial<TaskInput>, write: WriteContext): Decide =>
  (task) =>
    setFields(task, fields, write, { givesBack: fields.assigned_to === null });

/** @param givesBack the caller says that the task is to be nobody's */
function setFields(
  task: FoundTask,
  fields: Partial<TaskInput>,
  write: WriteContext,
  { givesBack }: { givesBack: boolean },
): Decision {
  const { assigned_to, ...edits } = fields;
  const isOwn = givesBack && task.assigned_to === write.actor.id;
  const assigns = assigned_to !== undefined && assigned_to !== task.assigned_to && !isOwn;
  const verbs: TaskVerb[] = [];
  if (Object.keys(edits).length > 0 || assigned_to === undefined) verbs.push("edit");
  // Naming the assignee that the task has is for who could have changed it, or for who edits the rest.
  if (assigns || (verbs.length === 0 && !isOwn)) verbs.push("assign");
  mustBeAllowed(task, verbs, write);
  if (fields.status !== undefined && fields.status !== task.status)
    checkTransition(task.status, fields.status);
  return changed(task, fields, write);
}

/**
 * Sets everything that a client may set. An assignee who leaves themselves out has not said that they give the task
 * back: that takes `assigned_to: null`, in so many words. @throws the same
 */
export const replacement =
  (fields: TaskInput, write: WriteContext): Decide =>
  (task) =>
    setFields(task, { ...taskColumns.defaults, ...fields }, write, {
      givesBack: fields.assigned_to === null,
    });

/**
 * Moves a task to another status. Strict: of many that claim one pending task, one wins.
 * @throws Problem forbidden, precondition-failed, project-archived, illegal-transition (the present status too)
 */
export const transition =
  (to: TaskStatus, write: WriteContext): Decide =>
  (task) => {
    mustBeAllowed(task, ["edit"], write);
    checkTransition(task.status, to);
    return changed(task, { status: to }, write);
  };

/** Gives a task to somebody, or to nobody. @throws Problem forbidden, precondition-failed, project-archived */
export const assignment = (assigned_to: string | null, write: WriteContext): Decide =>
  patch({ assigned_to }, write);

/** Deletes a task softly. @throws Problem forbidden, precondition-failed, project-archived */
export const deletion =
  (write: WriteContext): Decide =>
  (task) => {
    mustBeAllowed(task, ["delete"], write);
    const before = rowOf(task);
    const next = { ...before, deleted_at: write.time, updated_at: write.time, version: before.version + 1 };
    return { next, events: deletionEvents(next, write) };
  };

/** Brings a deleted task back. @throws Problem forbidden, precondition-failed, project-archived */
export const restoration =
  (write: WriteContext): Decide =>
  (task) => {
    mustBeAllowed(task, ["delete"], write);
    const before = rowOf(task);
    const next = { ...before, deleted_at: null, updated_at: write.time, version: before.version + 1 };
    return { next, events: restorationEvents(next, write) };
  };

/** Takes its texts out of a task, whatever they are. @throws Problem forbidden, precondition-failed, project-archived */
export const redaction =
  (write: WriteContext): Decide =>
  (task) => {
    mustBeAllowed(task, ["redact"], write);
    const before = rowOf(task);
    const next = { ...before, ...REDACTED.task, updated_at: write.time, version: before.version + 1 };
    return { next, events: redactionEvents(next, write) };
  };

/** Takes a task from whoever leaves, or a category off it: whoever asks, and also in an archived project. */
export const clearing =
  (field: "assigned_to" | "category_id", value: string, write: WriteContext): Decide =>
  (task) =>
    task[field] === value ? changed(task, { [field]: null }, write) : { next: rowOf(task), events: [] };
