import { randomInt } from "node:crypto";
import slugify from "@sindresorhus/slugify";
import { invalidField, Problem } from "../../core/errors.ts";
import { isId, newId } from "../../core/ids.ts";
import { type Database, type Queryable, violatedConstraint } from "../../mixins/database.ts";
import {
  type Cause,
  commit,
  eventsParameter,
  type EventType,
  type LoggedEvent,
  newEvent,
  projectStream,
  userStream,
  withEvents,
} from "../../mixins/event-log.ts";
import type { Person } from "../users/users.contract.ts";
import type { Member, ProjectRole } from "./projects.contract.ts";
import { mayChangeMember } from "./projects.policy.ts";
import { lockMember, type ProjectRow } from "./projects.queries.ts";

const INSERT = withEvents(
  `project AS (
     INSERT INTO projects.projects (id, slug, name, description, owner_id, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $6) RETURNING id, owner_id, created_at),
   row AS (
     INSERT INTO projects.members (project_id, user_id, role, created_at)
     SELECT id, owner_id, 'owner', created_at FROM project RETURNING project_id)`,
  7,
);

interface ProjectRef {
  id: string;
  slug: string;
  name: string;
}

/** The same news twice: for the project, and for the member, who may not see the project (yet, or any more). */
function memberEvents(
  type: EventType,
  project: ProjectRef,
  member: Member,
  changes: object,
  cause: Cause,
): ReturnType<typeof newEvent>[] {
  const { id, slug, name } = project;
  const { user_id, role, created_at } = member;
  // No names of people: the log keeps what it is told, and they may want theirs erased.
  const data = { project: { id, slug, name }, member: { user_id, role, created_at }, changes };
  return [projectStream(id), userStream(user_id)].map((stream) => newEvent(stream, type, data, cause));
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

/**
 * Creates a project, which its creator owns.
 * @throws Problem already-exists for a slug that is taken; validation-failed for one that looks like an id
 */
export async function createProject(
  db: Database,
  owner: Person,
  input: { name: string; description?: string | null; slug?: string },
  cause: Cause,
): Promise<{ project: ProjectRow; events: LoggedEvent[] }> {
  if (input.slug !== undefined && isId(input.slug))
    throw invalidField("slug", "pattern", "A slug can't look like an id");
  const { name, description = null } = input;
  const id = newId();
  for (const slug of slugsFor(name, input.slug)) {
    const events = memberEvents(
      "member_added",
      { id, slug, name },
      memberOf(owner, "owner", cause.time),
      {},
      cause,
    );
    try {
      const values = [id, slug, name, description, owner.id, cause.time, eventsParameter(events)];
      const logged = await commit(db, { name: "projects-insert", text: INSERT, values }, events);
      const project: ProjectRow = {
        id,
        slug,
        name,
        description,
        status: "active",
        owner_id: owner.id,
        role: "owner",
        version: 1,
        created_at: cause.time,
        updated_at: cause.time,
      };
      return { project, events: logged ?? [] };
    } catch (error) {
      if (violatedConstraint(error) !== "projects_slug_key") throw error;
    }
  }
  throw new Problem("already-exists", "This slug is taken", {
    errors: [{ pointer: "#/slug", code: "taken", message: "This slug is taken" }],
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
  const { role: _role, ...known } = project;
  const { user_id: owner_id } = heir;
  const data = {
    project: { ...known, owner_id, version: project.version + 1, updated_at: cause.time },
    changes: { owner_id: { old: project.owner_id, new: owner_id } },
  };
  const events = [newEvent(projectStream(project.id), "project_updated", data, cause)];
  const values = [project.id, owner_id, cause.time, eventsParameter(events)];
  return (await commit(tx, { name: "projects-succeed", text: SUCCEED, values }, events)) ?? [];
}

/**
 * Adds a member (`to` a role, who has none), changes one, or removes one (`to` null). Who may is decided on what is
 * true under the project's lock, so that of two owners who leave at the same time one stays.
 * @throws Problem not-found for no such member; already-exists; forbidden; conflict for the last owner; project-archived
 */
export async function changeMember(
  db: Database,
  project: ProjectRow,
  person: Person,
  change: { expects: "member" | "stranger"; to: ProjectRole | null },
  cause: Cause,
): Promise<{ member: Member; events: LoggedEvent[] }> {
  return db.transaction(async (tx) => {
    const own = await lockMember(tx, project.id, cause.actor.id);
    const { role: from, joined, owners, project_status } = await lockMember(tx, project.id, person.id);
    const { to, expects } = change;
    if (!mayChangeMember(cause.actor, own.role, { userId: person.id, from, to }))
      throw new Problem("forbidden");
    if (expects === "stranger" && from !== null)
      throw new Problem("already-exists", "This user is a member of the project already");
    if (expects === "member" && from === null) throw new Problem("not-found");
    if (project_status === "archived") throw new Problem("project-archived");
    if (from === "owner" && to !== "owner" && owners < 2)
      throw new Problem("conflict", "A project keeps at least one owner: make somebody else owner first");

    const member = memberOf(person, to ?? (from as ProjectRole), joined ?? cause.time);
    if (from === to) return { member, events: [] };
    const type: EventType =
      to === null ? "member_removed" : from === null ? "member_added" : "member_updated";
    const changes = type === "member_updated" ? { role: { old: from, new: to } } : {};
    const events = memberEvents(type, project, member, changes, cause);
    const key = [project.id, person.id];
    const statement =
      to === null
        ? { name: "projects-member-delete", text: DELETE_MEMBER, values: [...key, eventsParameter(events)] }
        : {
            name: "projects-member-upsert",
            text: UPSERT_MEMBER,
            values: [...key, to, member.created_at, eventsParameter(events)],
          };
    const logged = (await commit(tx, statement, events)) ?? [];
    if (project.owner_id !== person.id || to === "owner") return { member, events: logged };
    return { member, events: [...logged, ...(await succeed(tx, project, cause))] };
  });
}
