import type { CommittedEvent } from "../../core/events.ts";
import { missing, Problem, problemCode } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { mustMatch } from "../../core/preconditions.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import {
  type Cause,
  commit,
  type LoggedStatement,
  type NewEvent,
  projectStream,
  withEvents,
  type WriteContext,
} from "../../mixins/event-log.ts";
import { remembered } from "../../mixins/idempotency.ts";
import { forgetEvents, forgetStream } from "../../mixins/event-log.erasure.ts";
import { TASK_STATUSES } from "../tasks/tasks.contract.ts";
import { memberColumns, type MemberRow } from "./members.columns.ts";
import { memberAdded } from "./members.events.ts";
import { listMemberIds } from "./members.queries.ts";
import { projectColumns, type ProjectRow, type VisibleProject } from "./projects.columns.ts";
import type { Project, ProjectInput } from "./projects.contract.ts";
import { changesBetween, projectDeleted, projectRestored, projectUpdated } from "./projects.events.ts";
import type { ProjectVerb } from "./projects.policy.ts";
import { findProject } from "./projects.queries.ts";
import { findFreeSlug, mustBeSlug, slugProblem, withFreeSlug } from "./projects.slugs.ts";
import { projectView } from "./projects.view.ts";

/** The result of a write: the project as it is now, and the events of the commit. */
export interface Written {
  project: VisibleProject;
  events: CommittedEvent[];
}

// The project's row comes first, because the member's is selected from it: a taken slug waits before streams are locked.
const INSERT = withEvents(
  `project AS (
     INSERT INTO projects.projects (${projectColumns.names})
     VALUES (${projectColumns.parameters(1)}) RETURNING id),
   row AS (
     INSERT INTO projects.members (${memberColumns.names})
     SELECT ${memberColumns.parameters(1 + projectColumns.count)} FROM project RETURNING project_id)`,
  1 + projectColumns.count + memberColumns.count,
);

const NO_TASKS = Object.fromEntries(TASK_STATUSES.map((status) => [status, 0]));

/**
 * Creates a project, which its creator owns.
 * @throws Problem already-exists for a slug that is taken; validation-failed for a slug that looks like an id
 */
export async function createProject(
  db: Database,
  input: Omit<ProjectInput, "status">,
  write: WriteContext,
): Promise<{ answer: Project; events: CommittedEvent[] }> {
  mustBeSlug(input.slug);
  const { actor, time } = write;
  const id = newId();
  const owner: MemberRow = { project_id: id, user_id: actor.id, role: "owner", created_at: time };
  return withFreeSlug(input.name, input.slug, async (slug) => {
    const project: ProjectRow = {
      id,
      ...projectColumns.defaults,
      ...input,
      slug,
      owner_id: actor.id,
      version: 1,
      created_at: time,
      updated_at: time,
      deleted_at: null,
    };
    const answer = projectView({ ...project, role: owner.role }, NO_TASKS);
    const values = [...projectColumns.valuesOf(project), ...memberColumns.valuesOf(owner)];
    const statement = { name: "projects-insert", text: INSERT, values };
    const events = await commit(db, statement, memberAdded(project, owner, write), {
      userId: actor.id,
      key: write.conditions.key,
      response: answer,
    });
    return { answer, events: events ?? [] };
  });
}

const UPDATE = withEvents(
  `row AS (UPDATE projects.projects SET ${projectColumns.assignments(2)} WHERE id = $1 RETURNING id)`,
  2 + projectColumns.changing.length,
);

/** Writes the row of a project whose lock the transaction holds. */
const updateOf = (project: ProjectRow): LoggedStatement => ({
  name: "projects-update",
  text: UPDATE,
  values: [project.id, ...projectColumns.changingValuesOf(project)],
});

const changed = <Row extends ProjectRow>(before: Row, fields: Partial<ProjectRow>, { time }: Cause): Row => ({
  ...before,
  ...fields,
  updated_at: time,
  version: before.version + 1,
});

interface Decision {
  fields: Partial<ProjectRow>;
  /** The events, made of the project after the change. */
  events(project: ProjectRow): NewEvent[];
}

interface ChangeOptions {
  /** Look among the deleted projects. */
  deleted?: boolean;
  /** The request's whole answer, to be remembered under its key. */
  answerOf?: (project: VisibleProject) => unknown;
}

/** Changes a project under its lock, which each change of its members takes too. `decide` gives null for no change. */
function changeProject(
  db: Database,
  reference: string,
  verb: ProjectVerb,
  write: WriteContext,
  decide: (project: ProjectRow, tx: Queryable) => Decision | null | Promise<Decision | null>,
  { deleted = false, answerOf = (project) => project }: ChangeOptions = {},
): Promise<Written> {
  return db.transaction(async (tx) => {
    const before = await findProject(tx, write.actor, reference, verb, { lock: true, deleted });
    mustMatch(write.conditions, before.version);
    const decision = await decide(before, tx);
    if (decision === null) return { project: before, events: [] };
    const project = changed(before, decision.fields, write);
    const answer = remembered(write, answerOf(project));
    const committed = commit(tx, updateOf(project), decision.events(project), answer);
    const events = await committed.catch((error: unknown) => {
      throw slugProblem(error);
    });
    return { project, events: events ?? [] };
  });
}

/**
 * Sets the given fields. An archived project takes no change until `status: active` comes with it.
 * @throws Problem not-found, forbidden, precondition-failed, project-archived; already-exists for the slug
 */
export function patchProject(
  db: Database,
  reference: string,
  fields: Partial<ProjectInput>,
  write: WriteContext,
): Promise<Written> {
  mustBeSlug(fields.slug);
  return changeProject(db, reference, "edit", write, (before) => {
    const after = { ...before, ...fields };
    const changes = changesBetween(before, after);
    if (Object.keys(changes).length === 0) return null;
    if (before.status === "archived" && after.status === "archived") throw new Problem("project-archived");
    return { fields, events: (project) => projectUpdated(project, changes, write) };
  });
}

/**
 * Deletes a project softly, and hides all that is in it.
 * @throws Problem not-found, forbidden, precondition-failed, project-archived
 */
export function deleteProject(db: Database, reference: string, write: WriteContext): Promise<Written> {
  return changeProject(db, reference, "delete", write, ({ status }) => {
    if (status === "archived") throw new Problem("project-archived");
    return { fields: { deleted_at: write.time }, events: (project) => projectDeleted(project, write) };
  });
}

/** Attempts at a restoration while other projects take the slugs that it found free. */
const SLUG_RACES = 5;

/**
 * Brings a deleted project back until its purge is due. Its slug was free meanwhile: another project that has it now keeps
 * it, and this one comes back under the next free one.
 * @param since ISO 8601: a project that was deleted earlier can't come back
 * @param answerOf the request's answer, made of the restored project
 * @throws Problem not-found, forbidden, precondition-failed
 */
export async function restoreProject(
  db: Database,
  id: string,
  since: string,
  write: WriteContext,
  answerOf: (project: VisibleProject) => unknown,
): Promise<Written> {
  const decide = async (before: ProjectRow, tx: Queryable): Promise<Decision> => {
    if (String(before.deleted_at) < since) throw missing("project", id);
    const memberIds = await listMemberIds(tx, id);
    const slug = await findFreeSlug(tx, before.slug);
    const changes = changesBetween(before, { ...before, slug });
    return {
      fields: { slug, deleted_at: null },
      events: (project) => projectRestored(project, changes, memberIds, write),
    };
  };
  for (let race = 1; ; race++) {
    try {
      return await changeProject(db, id, "delete", write, decide, { deleted: true, answerOf });
    } catch (error) {
      if (problemCode(error) !== "already-exists" || race === SLUG_RACES) throw error;
    }
  }
}

/** Names another member the project's owner, under the project's lock. */
export async function nameOwner(
  tx: Queryable,
  before: ProjectRow,
  owner_id: string,
  cause: Cause,
): Promise<CommittedEvent[]> {
  const project = changed(before, { owner_id }, cause);
  const events = projectUpdated(project, changesBetween(before, project), cause);
  return (await commit(tx, updateOf(project), events)) ?? [];
}

/** Removes a batch of an emptied project's log; with the last batch, the project itself with its members. */
export async function purgeProject(db: Database, id: string): Promise<void> {
  if (await forgetEvents(db, projectStream(id))) return;
  await db.transaction(async (tx) => {
    await tx.query({ text: "DELETE FROM projects.projects WHERE id = $1", values: [id] });
    await forgetStream(tx, projectStream(id));
  });
}
