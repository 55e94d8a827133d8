import { randomInt } from "node:crypto";
import slugify from "@sindresorhus/slugify";
import type { EventDeclaration, LoggedEvent } from "../../core/events.ts";
import { mustMatch } from "../../core/preconditions.ts";
import { invalidField, missing, Problem, problemCode, takenField } from "../../core/errors.ts";
import { isId, newId } from "../../core/ids.ts";
import { type Database, type Queryable, violatedConstraint } from "../../mixins/database.ts";
import {
  type Cause,
  commit,
  forgetEvents,
  forgetStream,
  type NewEvent,
  newEvent,
  projectStream,
  userStream,
  withEvents,
  type WriteContext,
} from "../../mixins/event-log.ts";
import { TASK_STATUSES } from "../tasks/tasks.contract.ts";
import type { Person } from "../users/users.contract.ts";
import {
  type EventMembership,
  type EventProject,
  type Member,
  type Project,
  projectEvents,
  type ProjectInput,
  type ProjectRole,
} from "./projects.contract.ts";
import { mayChangeMember, type ProjectVerb, whyNotMember } from "./projects.policy.ts";
import { findProject, listMemberIds, readStanding, type ProjectRow } from "./projects.queries.ts";

const INSERT = withEvents(
  `project AS (
     INSERT INTO projects.projects (id, slug, name, description, owner_id, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id, owner_id, created_at),
   row AS (
     INSERT INTO projects.members (project_id, user_id, role, created_at)
     SELECT id, owner_id, 'owner', created_at FROM project RETURNING project_id)`,
  7,
);

/** The same event twice: for the project, and for the member, who may not see the project (yet, or any more). */
function memberEvents<Changes extends object>(
  declaration: EventDeclaration<string, EventMembership & { changes: Changes }>,
  { id, slug, name }: EventMembership["project"],
  { user_id, role, created_at }: Member,
  changes: Changes,
  cause: Cause,
): NewEvent[] {
  const data = { project: { id, slug, name }, member: { user_id, role, created_at }, changes };
  return [projectStream(id), userStream(user_id)].map((stream) => newEvent(stream, declaration, data, cause));
}

function memberOf(person: Person, role: ProjectRole, joined: string): Member {
  const { id, username, first_name, last_name } = person;
  return { user_id: id, username, first_name, last_name, role, created_at: joined };
}

/** A slug of the project's own, or the name's; a name that is taken gets four more characters. */
function slugsFor(name: string, wanted: string | undefined): string[] {
  if (wanted !== undefined) return [wanted];
  const base = slugify(name).slice(0, 59).replace(/-+$/, "") || "project";
  const suffixed = () =>
    `${base}-${randomInt(36 ** 4)
      .toString(36)
      .padStart(4, "0")}`;
  return [isId(base) ? suffixed() : base, suffixed(), suffixed()];
}

const NO_TASKS = Object.fromEntries(TASK_STATUSES.map((status) => [status, 0]));

/** The first of `slug`, `slug-2`, `slug-3` … that no project has. Plan: projects_slug_key. */
async function freeSlug(tx: Queryable, slug: string): Promise<string> {
  const [free] = await tx.query<{ slug: string }>({
    name: "projects-free-slug",
    text: `SELECT c.slug FROM (
             SELECT $1::text AS slug, 1 AS n
             UNION ALL SELECT rtrim(left($1::text, 60), '-') || '-' || n, n FROM generate_series(2, 999) AS n) c
           WHERE NOT EXISTS (SELECT FROM projects.projects p WHERE p.slug = c.slug AND p.deleted_at IS NULL)
           ORDER BY c.n LIMIT 1`,
    values: [slug],
  });
  return free?.slug ?? slug;
}

const slugLikeId = (): Problem => invalidField("slug", "pattern", "A slug can't look like an id");

/**
 * Creates a project, which its creator owns.
 * @throws Problem already-exists for a slug that is taken; validation-failed for one that looks like an id
 */
export async function createProject(
  db: Database,
  owner: Person,
  input: { name: string; description?: string | null; slug?: string },
  write: WriteContext,
): Promise<{ answer: Project; events: LoggedEvent[] }> {
  if (input.slug !== undefined && isId(input.slug)) throw slugLikeId();
  const { name, description = null } = input;
  const id = newId();
  for (const slug of slugsFor(name, input.slug)) {
    const member = memberOf(owner, "owner", write.time);
    const events = memberEvents(projectEvents.member_added, { id, slug, name }, member, {}, write);
    const answer: Project = {
      id,
      slug,
      name,
      description,
      status: "active",
      owner_id: owner.id,
      role: "owner",
      version: 1,
      created_at: write.time,
      updated_at: write.time,
      task_counts: NO_TASKS,
    };
    try {
      const values = [id, slug, name, description, owner.id, write.time];
      const logged = await commit(db, { name: "projects-insert", text: INSERT, values }, events, {
        userId: owner.id,
        key: write.conditions.key,
        response: answer,
      });
      return { answer, events: logged ?? [] };
    } catch (error) {
      if (violatedConstraint(error) !== "projects_slug_key") throw error;
    }
  }
  throw slugTaken();
}

const slugTaken = (): Problem => takenField("slug", "This slug is taken");

/** What everybody in the project may know of it: not the role, which is one's own. */
const shared = ({ role: _role, ...row }: ProjectRow) => {
  const { deleted_at: _none, ...rest } = row;
  return row.deleted_at === null ? rest : row;
};

const UPDATE = withEvents(
  `row AS (
     UPDATE projects.projects
     SET slug = $2, name = $3, description = $4, status = $5, updated_at = $6, deleted_at = $7, version = version + 1
     WHERE id = $1 RETURNING id)`,
  8,
);

interface Decision {
  fields: Partial<Pick<ProjectRow, "slug" | "name" | "description" | "status" | "deleted_at">>;
  /** The event for a stream, made of the project as it is then. */
  eventFor: (stream: string, project: EventProject) => NewEvent;
  /** The users who hear of it on streams of their own. */
  told?: string[];
}

interface ChangeOptions {
  /** Look among the deleted ones. */
  deleted?: boolean;
  /** What the request answers, whole: what is remembered under its key. */
  answerOf?: (project: ProjectRow) => unknown;
}

/** Changes a project under its lock, which changes of its members take too. */
async function changeProject(
  db: Database,
  reference: string,
  verb: ProjectVerb,
  write: WriteContext,
  decide: (project: ProjectRow, tx: Queryable) => Decision | null | Promise<Decision | null>,
  { deleted = false, answerOf = (project) => project }: ChangeOptions = {},
): Promise<{ project: ProjectRow; events: LoggedEvent[] }> {
  return db.transaction(async (tx) => {
    const before = await findProject(tx, write.actor, reference, verb, { lock: true, deleted });
    mustMatch(write.conditions, before.version);
    const decision = await decide(before, tx);
    if (decision === null) return { project: before, events: [] };
    const { fields, eventFor, told = [] } = decision;
    const project = { ...before, ...fields, updated_at: write.time, version: before.version + 1 };
    const streams = [projectStream(project.id), ...told.map(userStream)];
    const events = streams.map((stream) => eventFor(stream, shared(project)));
    const { id, slug, name, description, status, updated_at, deleted_at } = project;
    const values = [id, slug, name, description, status, updated_at, deleted_at];
    const answer = { userId: write.actor.id, key: write.conditions.key, response: answerOf(project) };
    const logged = await commit(tx, { name: "projects-update", text: UPDATE, values }, events, answer).catch(
      (error: unknown) => {
        throw violatedConstraint(error) === "projects_slug_key" ? slugTaken() : error;
      },
    );
    return { project, events: logged ?? [] };
  });
}

const EDITABLE = ["slug", "name", "description", "status"] as const;

/**
 * Sets the fields that are named. An archived project takes nothing else until it is active again.
 * @throws Problem not-found, forbidden, precondition-failed, project-archived, already-exists (the slug)
 */
export function patchProject(
  db: Database,
  reference: string,
  fields: Partial<ProjectInput>,
  write: WriteContext,
): Promise<{ project: ProjectRow; events: LoggedEvent[] }> {
  if (fields.slug !== undefined && isId(fields.slug)) throw slugLikeId();
  return changeProject(db, reference, "edit", write, (before) => {
    const after = { ...before, ...fields };
    const changes = Object.fromEntries(
      EDITABLE.filter((field) => before[field] !== after[field]).map((field) => [
        field,
        { old: before[field], new: after[field] },
      ]),
    );
    if (Object.keys(changes).length === 0) return null;
    if (before.status === "archived" && after.status === "archived") throw new Problem("project-archived");
    return {
      fields,
      eventFor: (stream, project) =>
        newEvent(stream, projectEvents.project_updated, { project, changes }, write),
    };
  });
}

/** Deletes a project softly, and all that is in it from view. @throws Problem not-found, forbidden, precondition-failed, project-archived */
export function deleteProject(
  db: Database,
  reference: string,
  write: WriteContext,
): Promise<{ project: ProjectRow; events: LoggedEvent[] }> {
  return changeProject(db, reference, "delete", write, ({ status }) => {
    if (status === "archived") throw new Problem("project-archived");
    return {
      fields: { deleted_at: write.time },
      eventFor: (stream, project) => newEvent(stream, projectEvents.project_deleted, { project }, write),
    };
  });
}

/** Restorations that are tried while others take the slugs that were free. */
const SLUG_RACES = 5;

/**
 * Brings a deleted project back, as long as it is not about to be purged. Its members hear of it on their own streams,
 * since they lost the project's. Its slug was free meanwhile: a project that has it now keeps it, and this one comes
 * back under the next free one.
 * @param since ISO 8601: what was deleted before is gone
 * @param answerOf what the request answers, made of the project as it is then
 * @throws Problem not-found, forbidden, precondition-failed
 */
export async function restoreProject(
  db: Database,
  id: string,
  since: string,
  write: WriteContext,
  answerOf: (project: ProjectRow) => unknown,
): Promise<{ project: ProjectRow; events: LoggedEvent[] }> {
  const decide = async ({ slug: old, deleted_at }: ProjectRow, tx: Queryable): Promise<Decision> => {
    if (String(deleted_at) < since) throw missing("project", id);
    const told = await listMemberIds(tx, id);
    const slug = await freeSlug(tx, old);
    const changes = slug === old ? {} : { changes: { slug: { old, new: slug } } };
    return {
      fields: { slug, deleted_at: null },
      eventFor: (stream, project) =>
        newEvent(stream, projectEvents.project_restored, { project, ...changes }, write),
      told,
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

/** Removes a batch of an emptied project's log; once there is none, the project for good, with its members. */
export async function purgeProject(db: Database, id: string): Promise<void> {
  if (await forgetEvents(db, projectStream(id))) return;
  await db.transaction(async (tx) => {
    await tx.query({ text: "DELETE FROM projects.projects WHERE id = $1", values: [id] });
    await forgetStream(tx, projectStream(id));
  });
}

const UPSERT_MEMBER = withEvents(
  `row AS (
     INSERT INTO projects.members (project_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
     ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role RETURNING user_id)`,
  5,
);
const DELETE_MEMBER = withEvents(
  "row AS (DELETE FROM projects.members WHERE project_id = $1 AND user_id = $2 RETURNING user_id)",
  3,
);

const SUCCEED = withEvents(
  `row AS (
     UPDATE projects.projects SET owner_id = $2, version = version + 1, updated_at = $3 WHERE id = $1 RETURNING id)`,
  4,
);

/** The owner that a project names is no owner any more: the one who is it longest is named. Under the project's lock. */
async function succeed(tx: Queryable, project: ProjectRow, cause: Cause): Promise<LoggedEvent[]> {
  const [heir] = await tx.query<{ user_id: string }>({
    text: `SELECT user_id FROM projects.members WHERE project_id = $1 AND role = 'owner'
           ORDER BY created_at, user_id LIMIT 1`,
    values: [project.id],
  });
  if (heir === undefined) throw new Error(`project ${project.id} is left without an owner`);
  const { user_id: owner_id } = heir;
  const data = {
    project: { ...shared(project), owner_id, version: project.version + 1, updated_at: cause.time },
    changes: { owner_id: { old: project.owner_id, new: owner_id } },
  };
  const events = [newEvent(projectStream(project.id), projectEvents.project_updated, data, cause)];
  const values = [project.id, owner_id, cause.time];
  return (await commit(tx, { name: "projects-succeed", text: SUCCEED, values }, events)) ?? [];
}

/**
 * Adds a member (`to` a role, who has none), changes one, or removes one (`to` null). Who may is decided on what is
 * true under the project's lock, so that of two owners who leave at the same time one stays.
 * @throws Problem not-found for no such member; already-exists; forbidden; conflict for the last owner; project-archived
 */
export async function changeMember(
  db: Database,
  projectId: string,
  person: Person,
  change: { expects: "member" | "stranger"; to: ProjectRole | null },
  write: WriteContext,
): Promise<{ member: Member; events: LoggedEvent[] }> {
  return db.transaction(async (tx) => {
    // As it is now: what was read before decided only that there is such a project.
    const project = await findProject(tx, write.actor, projectId, "read", { lock: true });
    const own = await readStanding(tx, projectId, write.actor.id);
    const { role: from, joined, owners } = await readStanding(tx, projectId, person.id);
    const { to, expects } = change;
    if (!mayChangeMember(write.actor, own.role, { userId: person.id, from, to }))
      throw new Problem("forbidden", whyNotMember(write.actor, own.role));
    if (expects === "stranger" && from !== null)
      throw new Problem("already-exists", "This user is a member of the project already");
    if (expects === "member" && from === null) throw missing("member", person.id);
    if (project.status === "archived") throw new Problem("project-archived");
    if (from === "owner" && to !== "owner" && owners < 2)
      throw new Problem("conflict", "A project keeps at least one owner: make somebody else owner first");

    const member = memberOf(person, to ?? (from as ProjectRole), joined ?? write.time);
    if (from === to) return { member, events: [] };
    const events =
      to === null
        ? memberEvents(projectEvents.member_removed, project, member, {}, write)
        : from === null
          ? memberEvents(projectEvents.member_added, project, member, {}, write)
          : memberEvents(
              projectEvents.member_updated,
              project,
              member,
              { role: { old: from, new: to } },
              write,
            );
    const key = [project.id, person.id];
    const statement =
      to === null
        ? { name: "projects-member-delete", text: DELETE_MEMBER, values: key }
        : {
            name: "projects-member-upsert",
            text: UPSERT_MEMBER,
            values: [...key, to, member.created_at],
          };
    const answer = { userId: write.actor.id, key: write.conditions.key, response: member };
    const logged = (await commit(tx, statement, events, answer)) ?? [];
    if (project.owner_id !== person.id || to === "owner") return { member, events: logged };
    return { member, events: [...logged, ...(await succeed(tx, project, write))] };
  });
}
