/**
 * The decisions of all writes of tasks: pure, so that single writes and bulk ones decide alike. Each checks in the same
 * order: the caller's rights, the version that `If-Match` names, the state of the project and of the task.
 */
import { mustMatch } from "../../core/preconditions.ts";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { reaches } from "../../core/kit.ts";
import type { NewEvent, WriteContext } from "../../mixins/event-log.ts";
import { firstPosition } from "./positions.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { taskEvents, type TaskInput, type TaskStatus } from "./tasks.contract.ts";
import {
  changeEvents,
  changesBetween,
  creationEvents,
  deletionEvents,
  redactionEvents,
  restorationEvents,
  type RestEvent,
} from "./tasks.events.ts";
import { inProject, may, type TaskVerb, whyNot } from "./tasks.policy.ts";
import type { FoundTask, ProjectStanding } from "./tasks.queries.ts";
import { checkTransition, completedAt } from "./tasks.status.ts";
import { REDACTED } from "./tasks.view.ts";

/** The next row and its events. A decision without events writes nothing. */
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

/** Sets `fields`. A write that changes nothing has no event, and so no new version. */
function changed(
  task: FoundTask,
  fields: Partial<TaskInput> & { position?: string },
  write: WriteContext,
  restEvent?: RestEvent,
): Decision {
  const before = rowOf(task);
  const status = fields.status ?? before.status;
  const completed_at = completedAt(before, status, write.time);
  const after: TaskRow = { ...before, ...fields, status, completed_at };
  if (Object.keys(changesBetween(before, after)).length === 0) return { next: before, events: [] };
  const next = { ...after, version: before.version + 1, updated_at: write.time };
  return { next, events: changeEvents(before, next, write, restEvent) };
}

/** @param project null for a personal task @throws Problem forbidden, project-archived */
export function mustBeAllowedToCreate(
  { actor }: WriteContext,
  project: ProjectStanding | null,
  { assigned_to }: TaskInput,
): void {
  if (project === null) {
    if (!reaches(actor, null))
      throw new Problem(
        "forbidden",
        "This token is limited to some projects: it can't create a personal task",
      );
    return;
  }
  const standing = inProject(project);
  const verbs: TaskVerb[] = assigned_to == null ? ["create"] : ["create", "assign"];
  const refused = verbs.find((verb) => !may(actor, verb, standing));
  if (refused !== undefined) throw new Problem("forbidden", whyNot(refused, standing));
  if (project.status === "archived") throw new Problem("project-archived");
}

/** A new task, once rights and references are checked. @throws Problem illegal-transition */
export function creation(input: TaskInput, projectId: string | null, write: WriteContext): Decision {
  const fields = { ...taskColumns.defaults, ...input };
  const { status } = fields;
  if (status !== "pending") checkTransition("pending", status);
  const id = newId();
  const next: TaskRow = {
    id,
    ...fields,
    project_id: projectId,
    created_by: write.actor.id,
    completed_at: status === "completed" ? write.time : null,
    position: firstPosition(id),
    version: 1,
    created_at: write.time,
    updated_at: write.time,
    deleted_at: null,
  };
  return { next, events: creationEvents(next, write) };
}

/**
 * Sets the fields that the client names. Naming the present status changes nothing. An assignee may give the task back
 * in any role.
 * @throws Problem forbidden, precondition-failed, project-archived, illegal-transition
 */
export const patch =
  (fields: Partial<TaskInput>, write: WriteContext): Decide =>
  (task) =>
    setFields(task, fields, write, { givesBack: fields.assigned_to === null });

/** @param givesBack the client has sent `assigned_to: null` */
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
  // Naming the present assignee alone takes the right to assign; beside an edit it takes no right of its own.
  if (assigns || (verbs.length === 0 && !isOwn)) verbs.push("assign");
  mustBeAllowed(task, verbs, write);
  if (fields.status !== undefined && fields.status !== task.status)
    checkTransition(task.status, fields.status);
  return changed(task, fields, write);
}

/**
 * Sets everything that a client may set. An assignee who leaves `assigned_to` out does not give the task back: only an
 * explicit null does.
 * @throws Problem forbidden, precondition-failed, project-archived, illegal-transition
 */
export const replacement =
  (fields: TaskInput, write: WriteContext): Decide =>
  (task) =>
    setFields(task, { ...taskColumns.defaults, ...fields }, write, {
      givesBack: fields.assigned_to === null,
    });

/**
 * Moves a task to another status. Strict: of many callers that claim one pending task, one wins.
 * @throws Problem forbidden, precondition-failed, project-archived, illegal-transition (for the present status, too)
 */
export const transition =
  (to: TaskStatus, write: WriteContext): Decide =>
  (task) => {
    mustBeAllowed(task, ["edit"], write);
    checkTransition(task.status, to);
    return changed(task, { status: to }, write);
  };

/**
 * The column that a task is moved to, once the caller may move it there; naming the present status keeps it.
 * @throws Problem forbidden, precondition-failed, project-archived, illegal-transition
 */
export function columnFor(task: FoundTask, status: TaskStatus | undefined, write: WriteContext): TaskStatus {
  mustBeAllowed(task, ["edit"], write);
  if (status !== undefined && status !== task.status) checkTransition(task.status, status);
  return status ?? task.status;
}

/** Moves a task to a column (`columnFor`) and a place. */
export const movement =
  (to: { status: TaskStatus; position: string }, write: WriteContext): Decide =>
  (task) =>
    changed(task, to, write, taskEvents.task_moved);

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

/** Takes the texts out of a task. @throws Problem forbidden, precondition-failed, project-archived */
export const redaction =
  (write: WriteContext): Decide =>
  (task) => {
    mustBeAllowed(task, ["redact"], write);
    const before = rowOf(task);
    const next = { ...before, ...REDACTED.task, updated_at: write.time, version: before.version + 1 };
    return { next, events: redactionEvents(next, write) };
  };

/** Clears a reference that still has `value`. The service itself does so: it needs no right, and an archived project allows it. */
export const clearing =
  (field: "assigned_to" | "category_id", value: string, write: WriteContext): Decide =>
  (task) =>
    task[field] === value ? changed(task, { [field]: null }, write) : { next: rowOf(task), events: [] };
