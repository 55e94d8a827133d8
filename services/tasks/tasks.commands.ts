/**
 * Each write: read, decide in pure functions, commit rows and events in one statement that compares the version and
 * sets it. No lock is held while we think. Who loses the race reads and decides again; who lost it twice decides once
 * more with the row locked, so that a busy task fails nobody.
 */
import { Problem, problemCode } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import {
  type Cause,
  commit,
  eventsParameter,
  type LoggedEvent,
  type NewEvent,
  withEvents,
} from "../../mixins/event-log.ts";
import type { Task, TaskInput, TaskStatus } from "./tasks.contract.ts";
import { changeEvents, changesBetween, creationEvents, deletionEvents } from "./tasks.events.ts";
import { may, type TaskVerb } from "./tasks.policy.ts";
import { findAssigned, findTask, type FoundTask } from "./tasks.queries.ts";
import { checkTransition, completedAt } from "./tasks.status.ts";
import { taskView, type TaskRow } from "./tasks.view.ts";

/** What a write answers, and what it tells the world. */
export interface Written {
  task: Task;
  events: LoggedEvent[];
}

const LOST_RACES = 2;

const INSERT = withEvents(
  `row AS (
     INSERT INTO tasks.tasks (id, title, description, status, priority, project_id, created_by, assigned_to, due_date,
                              completed_at, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING id)`,
  12,
);

/** Creates a task. Who may, and whether the assignee will do, is decided before. */
export async function createTask(
  db: Queryable,
  input: TaskInput & { project_id: string | null },
  cause: Cause,
): Promise<Written> {
  const status = input.status ?? "pending";
  if (status !== "pending") checkTransition("pending", status);
  const row: TaskRow = {
    id: newId(),
    title: input.title,
    description: input.description ?? null,
    status,
    priority: input.priority ?? "medium",
    project_id: input.project_id,
    category_id: null,
    created_by: cause.actor.id,
    assigned_to: input.assigned_to ?? null,
    due_date: input.due_date ?? null,
    completed_at: status === "completed" ? cause.time : null,
    version: 1,
    created_at: cause.time,
    updated_at: cause.time,
    deleted_at: null,
  };
  const events = creationEvents(row, cause);
  const logged = await commit(
    db,
    {
      name: "tasks-insert",
      text: INSERT,
      values: [
        row.id,
        row.title,
        row.description,
        row.status,
        row.priority,
        row.project_id,
        row.created_by,
        row.assigned_to,
        row.due_date,
        row.completed_at,
        row.created_at,
        eventsParameter(events),
      ],
    },
    events,
  );
  return { task: taskView(row), events: logged ?? [] };
}

const UPDATE = withEvents(
  `row AS (
     UPDATE tasks.tasks
     SET title = $3, description = $4, status = $5, priority = $6, assigned_to = $7, due_date = $8, completed_at = $9,
         updated_at = $10, deleted_at = $11, version = $2 + 1
     WHERE id = $1 AND version = $2 AND deleted_at IS NULL RETURNING id)`,
  12,
);

/** Writes `next` over the row that still has `version`. @returns null when somebody was faster */
function update(db: Queryable, next: TaskRow, version: number, events: NewEvent[]) {
  const values = [
    next.id,
    version,
    next.title,
    next.description,
    next.status,
    next.priority,
    next.assigned_to,
    next.due_date,
    next.completed_at,
    next.updated_at,
    next.deleted_at,
    eventsParameter(events),
  ];
  return commit(db, { name: "tasks-update", text: UPDATE, values }, events);
}

/** What a write makes of the task it found: the next row and its events; the same row when nothing changes. */
type Decision = { next: TaskRow; events: NewEvent[] };

async function decideAndCommit(
  db: Database,
  id: string,
  cause: Cause,
  decide: (task: FoundTask) => Decision,
): Promise<Written> {
  async function attempt(on: Queryable, lock: boolean): Promise<Written | null> {
    const found = await findTask(on, cause.actor, id, lock);
    const { next, events } = decide(found);
    if (events.length === 0) return { task: taskView(found), events: [] };
    const logged = await update(on, next, found.version, events);
    return logged === null ? null : { task: taskView(next), events: logged };
  }

  for (let race = 0; race < LOST_RACES; race++) {
    const written = await attempt(db, false);
    if (written !== null) return written;
  }
  const written = await db.transaction((tx) => attempt(tx, true));
  if (written === null) throw new Error(`task ${id} changed under its own lock`);
  return written;
}

/** @throws Problem forbidden; project-archived */
function mustBeAllowed(task: FoundTask, verbs: readonly TaskVerb[], cause: Cause): void {
  if (!verbs.every((verb) => may(cause.actor, verb, task))) throw new Problem("forbidden");
  if (task.project_status === "archived") throw new Problem("project-archived");
}

/** The row after `fields` were set. A write that changes nothing leaves no event, and so no new version. */
function changed(task: FoundTask, fields: Partial<TaskInput>, cause: Cause): Decision {
  const { project_role: _role, project_status: _status, ...before } = task;
  const status = fields.status ?? before.status;
  const completed_at = completedAt(before, status, cause.time);
  const after: TaskRow = { ...before, ...fields, status, completed_at };
  if (Object.keys(changesBetween(before, after)).length === 0) return { next: before, events: [] };
  const next = { ...after, version: before.version + 1, updated_at: cause.time };
  return { next, events: changeEvents(before, next, cause) };
}

/**
 * Sets the fields that are named. A status must be reachable; naming the present one changes nothing.
 * @throws Problem not-found, forbidden, illegal-transition, project-archived
 */
export function patchTask(
  db: Database,
  id: string,
  fields: Partial<TaskInput>,
  cause: Cause,
): Promise<Written> {
  const { assigned_to, ...edits } = fields;
  const verbs: TaskVerb[] = Object.keys(edits).length > 0 || assigned_to === undefined ? ["edit"] : [];
  if (assigned_to !== undefined) verbs.push("assign");
  return decideAndCommit(db, id, cause, (task) => {
    mustBeAllowed(task, verbs, cause);
    if (fields.status !== undefined && fields.status !== task.status)
      checkTransition(task.status, fields.status);
    return changed(task, fields, cause);
  });
}

/**
 * Moves a task to another status. Strict: of many that claim one pending task, one wins.
 * @throws Problem not-found, forbidden, illegal-transition (the present status too), project-archived
 */
export function transitionTask(db: Database, id: string, to: TaskStatus, cause: Cause): Promise<Written> {
  return decideAndCommit(db, id, cause, (task) => {
    mustBeAllowed(task, ["edit"], cause);
    checkTransition(task.status, to);
    return changed(task, { status: to }, cause);
  });
}

/** Deletes a task softly. @throws Problem not-found, forbidden, project-archived */
export function deleteTask(db: Database, id: string, cause: Cause): Promise<Written> {
  return decideAndCommit(db, id, cause, (task) => {
    mustBeAllowed(task, ["delete"], cause);
    const { project_role: _role, project_status: _status, ...before } = task;
    const next = { ...before, deleted_at: cause.time, updated_at: cause.time, version: before.version + 1 };
    return { next, events: deletionEvents(next, cause) };
  });
}

/** Tasks that one call unassigns. */
const BATCH = 100;

/**
 * Unassigns a batch of the tasks of a user who leaves, also in archived projects and where the caller sees nothing. Those
 * that are deleted, or whose project is, follow at the end, without an event: nobody sees them.
 * @returns the events, and whether there may be more tasks
 */
export async function unassignUser(
  db: Database,
  userId: string,
  cause: Cause,
): Promise<{ events: LoggedEvent[]; more: boolean }> {
  const everywhere: Cause = { ...cause, actor: { ...cause.actor, role: "admin" } };
  const ids = await findAssigned(db, userId, BATCH);
  const events: LoggedEvent[] = [];
  for (const id of ids) {
    try {
      const written = await decideAndCommit(db, id, everywhere, (task) =>
        task.assigned_to === userId
          ? changed(task, { assigned_to: null }, cause)
          : { next: task, events: [] },
      );
      events.push(...written.events);
    } catch (error) {
      // Deleted meanwhile.
      if (problemCode(error) !== "not-found") throw error;
    }
  }
  if (ids.length === BATCH) return { events, more: true };
  await db.query({
    name: "tasks-unassign-unseen",
    text: `UPDATE tasks.tasks t SET assigned_to = NULL, version = version + 1, updated_at = $2
           WHERE t.assigned_to = $1
             AND (t.deleted_at IS NOT NULL
                  OR (t.project_id IS NOT NULL AND t.project_id NOT IN (SELECT id FROM projects.summaries)))`,
    values: [userId, cause.time],
  });
  return { events, more: false };
}
