import type { LoggedEvent } from "../../core/events.ts";
import { missing, Problem, problemCode } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { mustMatch } from "../../core/preconditions.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import {
  type Cause,
  commit,
  forgetEvents,
  forgetStream,
  type NewEvent,
  projectStream,
  withEvents,
  type WriteContext,
} from "../../mixins/event-log.ts";
import { TASK_STATUSES } from "../tasks/tasks.contract.ts";
import { memberAdded } from "./members.events.ts";
import { listMemberIds } from "./members.queries.ts";
import type { ProjectRow, VisibleProject } from "./projects.columns.ts";
import type { Project, ProjectInput } from "./projects.contract.ts";
import { changesBetween, projectDeleted, projectRestored, projectUpdated } from "./projects.events.ts";
import type { ProjectVerb } from "./projects.policy.ts";
import { findProject } from "./projects.queries.ts";
import { findFreeSlug, mustBeSlug, slugProblem, withFreeSlug } from "./projects.slugs.ts";
import { projectView } from "./projects.view.ts";

/** What a write leaves: the project as it is now, and the events of its commit. */
export interface Written {
  project: VisibleProject;
  events: LoggedEvent[];
}

const INSERT = withEvents(
  `project AS (
     INSERT INTO projects.projects (id, slug, name, description, owner_id, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id, owner_id, created_at),
   row AS (
     INSERT INTO projects.members (project_id, user_id, role, created_at)
     SELECT id, owner_id, 'owner', created_at FROM project RETURNING project_id)`,
  7,
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
): Promise<{ answer: Project; events: LoggedEvent[] }> {
  mustBeSlug(input.slug);
  const { id: owner_id } = write.actor;
  const { name, description = null } = input;
  const id = newId();
  return withFreeSlug(name, input.slug, async (slug) => {
    const project: VisibleProject = {
      id,
      slug,
      name,
      description,
      status: "active",
      owner_id,
      role: "owner",
      version: 1,
      created_at: write.time,
      updated_at: write.time,
      deleted_at: null,
    };
    const owner = { user_id: owner_id, role: "owner", created_at: write.time } as const;
    const answer = projectView(project, NO_TASKS);
    const values = [id, slug, name, description, owner_id, write.time];
    const statement = { name: "projects-insert", text: INSERT, values };
    const events = await commit(db, statement, memberAdded(project, owner, write), {
      userId: owner_id,
      key: write.conditions.key,
      response: answer,
    });
    return { answer, events: events ?? [] };
  });
}

const UPDATE = withEvents(
  `row AS (
     UPDATE projects.projects
     SET slug = $2, name = $3, description = $4, status = $5, updated_at = $6, deleted_at = $7, version = version + 1
     WHERE id = $1 RETURNING id)`,
  8,
);

interface Decision {
  fields: Partial<Pick<ProjectRow, "slug" | "name" | "description" | "status" | "deleted_at">>;
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
    const project = {
      ...before,
      ...decision.fields,
      updated_at: write.time,
      version: before.version + 1,
    };
    const { id, slug, name, description, status, updated_at, deleted_at } = project;
    const values = [id, slug, name, description, status, updated_at, deleted_at];
    const statement = { name: "projects-update", text: UPDATE, values };
    const answer = { userId: write.actor.id, key: write.conditions.key, response: answerOf(project) };
    const events = await commit(tx, statement, decision.events(project), answer).catch((error: unknown) => {
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

const NAME_OWNER = withEvents(
  `row AS (
     UPDATE projects.projects SET owner_id = $2, version = version + 1, updated_at = $3 WHERE id = $1 RETURNING id)`,
  4,
);

/** Names another member the project's owner, under the project's lock. */
export async function nameOwner(
  tx: Queryable,
  before: ProjectRow,
  owner_id: string,
  cause: Cause,
): Promise<LoggedEvent[]> {
  const project = { ...before, owner_id, version: before.version + 1, updated_at: cause.time };
  const events = projectUpdated(project, { owner_id: { old: before.owner_id, new: owner_id } }, cause);
  const values = [project.id, owner_id, cause.time];
  return (await commit(tx, { name: "projects-succeed", text: NAME_OWNER, values }, events)) ?? [];
}

/** Removes a batch of an emptied project's log; with the last batch, the project itself with its members. */
export async function purgeProject(db: Database, id: string): Promise<void> {
  if (await forgetEvents(db, projectStream(id))) return;
  await db.transaction(async (tx) => {
    await tx.query({ text: "DELETE FROM projects.projects WHERE id = $1", values: [id] });
    await forgetStream(tx, projectStream(id));
  });
}
