import { missing, Problem } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import { type Actor, reaches } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, literally, Parameters, readPage } from "../../mixins/listing.ts";
import {
  PROJECT_ROLES,
  type ProjectItem,
  type ProjectRole,
  type ProjectStatus,
} from "./projects.contract.ts";
import { may, type ProjectVerb, whyNot } from "./projects.policy.ts";

export interface ProjectRow extends Omit<ProjectItem, "deleted_at"> {
  description: string | null;
  deleted_at: string | null;
}

const ITEM =
  "p.id, p.slug, p.name, p.status, p.owner_id, m.role, p.version, p.created_at, p.updated_at, p.deleted_at";

/**
 * A project by id or slug with the caller's role in it, if they may `verb` it. Plan: primary key or slug, then the
 * primary key of members.
 * @param deleted look among the deleted ones instead
 * @param lock hold the project's row; a new task, which refers to it at the end of its statement, doesn't wait for that
 * @throws Problem not-found for one that isn't there or that the caller may not know of; forbidden; conflict for a slug
 *   that several deleted ones had
 */
export async function findProject(
  db: Queryable,
  actor: Actor,
  project: string,
  verb: ProjectVerb,
  { deleted = false, lock = false } = {},
): Promise<ProjectRow> {
  const key = isId(project) ? "id" : "slug";
  const rows = await db.query<ProjectRow>({
    name: `projects-by-${key}${deleted ? "-deleted" : ""}${lock ? "-locked" : ""}`,
    text: `SELECT ${ITEM}, p.description
           FROM projects.projects p LEFT JOIN projects.members m ON m.project_id = p.id AND m.user_id = $2
           WHERE p.${key} = $1 AND p.deleted_at IS ${deleted ? "NOT NULL" : "NULL"}
           ${lock ? "FOR NO KEY UPDATE OF p" : ""}`,
    values: [project, actor.id],
  });
  const seen = rows.filter(({ id, role }) => reaches(actor, id) && may(actor, "read", role));
  const [first] = seen;
  if (first === undefined) throw missing("project", project);
  const [row, another] = seen.filter(({ role }) => may(actor, verb, role));
  if (row === undefined) throw new Problem("forbidden", whyNot(verb, first.role));
  if (another !== undefined)
    throw new Problem("conflict", "Several deleted projects had this slug: name the one you mean by its id");
  return row;
}

/** No null is told that the contract does not have. */
export const itemView = ({ deleted_at, ...row }: ProjectRow): ProjectItem => ({
  id: row.id,
  slug: row.slug,
  name: row.name,
  status: row.status,
  owner_id: row.owner_id,
  role: row.role,
  version: row.version,
  created_at: row.created_at,
  updated_at: row.updated_at,
  ...(deleted_at !== null && { deleted_at }),
});

const CREATED = { sql: "p.created_at", type: "timestamptz" };
const SORTS = {
  created_at: CREATED,
  updated_at: { sql: "p.updated_at", type: "timestamptz" },
  name: { sql: "lower(p.name)", type: "text" },
};
export const PROJECT_SORTS = Object.keys(SORTS);

export interface ProjectFilter {
  status?: ProjectStatus[];
  q?: string;
  include_deleted?: boolean;
}

/**
 * The caller's projects, newest first unless they say; all there are for managers and admins. Deleted ones are for who
 * may restore them. Plan: members_user_idx and the primary key; projects_created_idx for who sees all.
 */
export async function listProjects(
  db: Queryable,
  actor: Actor,
  filter: ProjectFilter,
  page: PageOf,
): Promise<Page<ProjectItem>> {
  const parameters = new Parameters();
  const join = actor.role === "user" ? "JOIN" : "LEFT JOIN";
  const restorable = actor.role === "admin" ? "true" : "coalesce(m.role = 'owner', false)";
  const where = [
    filter.include_deleted === true ? `(p.deleted_at IS NULL OR ${restorable})` : "p.deleted_at IS NULL",
  ];
  // What tasks_created_idx is for tasks.
  if (actor.role !== "user") where.push("p.created_at > '-infinity'");
  if (actor.projects !== undefined) where.push(`p.id = ANY (${parameters.add(actor.projects)}::uuid[])`);
  if (filter.status !== undefined) where.push(`p.status = ANY (${parameters.add(filter.status)}::text[])`);
  if (filter.q !== undefined)
    where.push(
      `(p.name ILIKE '%' || ${parameters.add(literally(filter.q))} || '%' OR p.slug = ${parameters.add(filter.q.toLowerCase())})`,
    );
  const listing: Listing = {
    columns: ITEM,
    branches: [
      {
        from: `projects.projects p ${join} projects.members m ON m.project_id = p.id AND m.user_id = ${parameters.add(actor.id)}`,
        where,
      },
    ],
    sorts: SORTS,
    sort: "-created_at",
    indexed: ["created_at"],
    filtered: filter.q !== undefined || filter.status !== undefined,
    // A user's own, by way of their memberships, or those that a token names.
    small: actor.role === "user" || actor.projects !== undefined,
    caller: actor.id,
    id: { sql: "p.id", type: "uuid" },
  };
  return (await readPage(db, listStatement(listing, page, parameters), page, itemView)).page;
}

/** Those projects of `ids` that the caller may see. Plan: primary keys. */
export async function readableProjects(db: Queryable, actor: Actor, ids: string[]): Promise<string[]> {
  const rows = await db.query<{ id: string; role: ProjectRole | null }>({
    name: "projects-readable",
    text: `SELECT p.id, m.role
           FROM projects.projects p LEFT JOIN projects.members m ON m.project_id = p.id AND m.user_id = $2
           WHERE p.id = ANY ($1::uuid[]) AND p.deleted_at IS NULL`,
    values: [ids, actor.id],
  });
  return rows.filter(({ role }) => may(actor, "read", role)).map(({ id }) => id);
}

export interface MemberRow {
  user_id: string;
  role: ProjectRole;
  created_at: string;
}

export const MEMBER_SORTS = ["created_at", "role"];

/** A project's members, longest first unless the caller says. Plan: members_joined_idx. */
export async function listMembers(
  db: Queryable,
  actor: Actor,
  projectId: string,
  page: PageOf,
): Promise<Page<MemberRow>> {
  const parameters = new Parameters();
  const listing: Listing = {
    columns: "m.user_id AS id, m.role, m.created_at",
    branches: [{ from: "projects.members m", where: [`m.project_id = ${parameters.add(projectId)}`] }],
    sorts: {
      created_at: { sql: "m.created_at", type: "timestamptz" },
      role: { sql: "array_position('{viewer,member,manager,owner}'::text[], m.role)", type: "integer" },
    },
    sort: "created_at",
    indexed: ["created_at"],
    caller: actor.id,
    id: { sql: "m.user_id", type: "uuid" },
  };
  const statement = listStatement(listing, page, parameters);
  const view = ({ id, role, created_at }: Omit<MemberRow, "user_id"> & { id: string }): MemberRow => ({
    user_id: id,
    role,
    created_at,
  });
  return (await readPage(db, statement, page, view)).page;
}

/** One member. Plan: members_pkey. @throws Problem not-found */
export async function findMember(db: Queryable, projectId: string, userId: string): Promise<MemberRow> {
  if (!isId(userId)) throw missing("member", userId);
  const [member] = await db.query<MemberRow>({
    name: "projects-member",
    text: "SELECT user_id, role, created_at FROM projects.members WHERE project_id = $1 AND user_id = $2",
    values: [projectId, userId],
  });
  if (member === undefined) throw missing("member", userId);
  return member;
}

/** A project with other members that this user alone owns; null for none. Plan: members_user_idx, members_pkey. */
export async function findSoleOwned(db: Queryable, userId: string): Promise<string | null> {
  const [project] = await db.query<{ slug: string }>({
    name: "projects-sole-owned",
    slow: "bounded",
    text: `SELECT p.slug FROM projects.members m JOIN projects.projects p ON p.id = m.project_id
           WHERE m.user_id = $1 AND m.role = 'owner' AND p.deleted_at IS NULL
             AND EXISTS (SELECT FROM projects.members o WHERE o.project_id = p.id AND o.user_id <> $1)
             AND NOT EXISTS (
               SELECT FROM projects.members o WHERE o.project_id = p.id AND o.user_id <> $1 AND o.role = 'owner')
           ORDER BY p.id LIMIT 1`,
    values: [userId],
  });
  return project?.slug ?? null;
}

/** The projects that somebody is a member of. Plan: members_user_idx. */
export async function listProjectIds(db: Queryable, userId: string): Promise<string[]> {
  const rows = await db.query<{ project_id: string }>({
    name: "projects-of-user",
    text: "SELECT project_id FROM projects.memberships WHERE user_id = $1 ORDER BY project_id",
    values: [userId],
  });
  return rows.map(({ project_id }) => project_id);
}

/**
 * Who is to own a project whose only owner goes: of its other active members the one with the highest role, and of those
 * the one who is in it longest. Plan: members_pkey. @returns null where another owner stays, or nobody else is there
 */
export async function findHeir(db: Queryable, projectId: string, ownerId: string): Promise<string | null> {
  const [heir] = await db.query<{ user_id: string }>({
    name: "projects-heir",
    text: `SELECT m.user_id FROM projects.members m JOIN users.standings a ON a.id = m.user_id
           WHERE m.project_id = $1 AND m.user_id <> $2 AND a.is_active
             AND EXISTS (SELECT FROM projects.members WHERE project_id = $1 AND user_id = $2 AND role = 'owner')
             AND NOT EXISTS (
               SELECT FROM projects.members WHERE project_id = $1 AND user_id <> $2 AND role = 'owner')
           ORDER BY array_position($3::text[], m.role) DESC, m.created_at, m.user_id LIMIT 1`,
    values: [projectId, ownerId, PROJECT_ROLES],
  });
  return heir?.user_id ?? null;
}

/** All members of a project. Plan: members_pkey. */
export async function listMemberIds(db: Queryable, projectId: string): Promise<string[]> {
  const rows = await db.query<{ user_id: string }>({
    name: "projects-member-ids",
    text: "SELECT user_id FROM projects.members WHERE project_id = $1",
    values: [projectId],
  });
  return rows.map(({ user_id }) => user_id);
}

export interface MemberStanding {
  role: ProjectRole | null;
  joined: string | null;
  owners: number;
}

/** One user's standing in a project, for a transaction that holds the project's lock, which changes of members take. */
export async function readStanding(
  tx: Queryable,
  projectId: string,
  userId: string,
): Promise<MemberStanding> {
  const [row] = await tx.query<MemberStanding>({
    name: "projects-standing",
    text: `SELECT max(role) FILTER (WHERE user_id = $2) AS role, max(created_at) FILTER (WHERE user_id = $2) AS joined,
                  count(*) FILTER (WHERE role = 'owner') AS owners
           FROM projects.members WHERE project_id = $1`,
    values: [projectId, userId],
  });
  return { role: null, joined: null, owners: 0, ...row };
}

/** The oldest project that was deleted before a time (ISO 8601), but for some. Plan: projects_deleted_idx. */
export async function findPurgeable(
  db: Queryable,
  before: string,
  butFor: Iterable<string>,
): Promise<string | null> {
  const [row] = await db.query<{ id: string }>({
    name: "projects-purgeable",
    text: `SELECT id FROM projects.projects WHERE deleted_at < $1 AND id <> ALL ($2::uuid[])
           ORDER BY deleted_at LIMIT 1`,
    values: [before, [...butFor]],
  });
  return row?.id ?? null;
}
