import { missing } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import { memberColumns, type MemberRow } from "./members.columns.ts";
import { PROJECT_ROLES, type ProjectRole } from "./projects.contract.ts";

const SORTS = {
  created_at: { sql: "t.created_at", type: "timestamptz" },
  role: { sql: `array_position('{${PROJECT_ROLES.join()}}'::text[], t.role)`, type: "integer" },
};
export const MEMBER_SORTS = Object.keys(SORTS);

/** A project's members, longest membership first by default. Plan: members_joined_idx. */
export async function listMembers(
  db: Queryable,
  actor: Actor,
  projectId: string,
  page: PageOf,
): Promise<Page<MemberRow>> {
  const parameters = new Parameters();
  const listing: Listing = {
    columns: `${memberColumns.selected}, t.user_id AS id`,
    branches: [{ from: "projects.members t", where: [`t.project_id = ${parameters.add(projectId)}`] }],
    sorts: SORTS,
    sort: "created_at",
    indexed: ["created_at"],
    caller: actor.id,
    id: { sql: "t.user_id", type: "uuid" },
  };
  const statement = listStatement(listing, page, parameters);
  return (await readPage<MemberRow & { id: string }, MemberRow>(db, statement, page, (row) => row)).page;
}

/** One member. Plan: members_pkey. @throws Problem not-found */
export async function findMember(db: Queryable, projectId: string, userId: string): Promise<MemberRow> {
  if (!isId(userId)) throw missing("member", userId);
  const [member] = await db.query<MemberRow>({
    name: "projects-member",
    text: `SELECT ${memberColumns.names} FROM projects.members WHERE project_id = $1 AND user_id = $2`,
    values: [projectId, userId],
  });
  if (member === undefined) throw missing("member", userId);
  return member;
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

/** The projects that a user is a member of. Plan: members_user_idx. */
export async function listProjectIds(db: Queryable, userId: string): Promise<string[]> {
  const rows = await db.query<{ project_id: string }>({
    name: "projects-of-user",
    text: "SELECT project_id FROM projects.memberships WHERE user_id = $1 ORDER BY project_id",
    values: [userId],
  });
  return rows.map(({ project_id }) => project_id);
}

export interface Standing {
  role: ProjectRole | null;
  joined: string | null;
  /** Owners that the project has. */
  owners: number;
}

/** A user's standing in a project. Call it under the project's lock, which every change of members takes. */
export async function readStanding(tx: Queryable, projectId: string, userId: string): Promise<Standing> {
  const [row] = await tx.query<Standing>({
    name: "projects-standing",
    text: `SELECT max(role) FILTER (WHERE user_id = $2) AS role, max(created_at) FILTER (WHERE user_id = $2) AS joined,
                  count(*) FILTER (WHERE role = 'owner') AS owners
           FROM projects.members WHERE project_id = $1`,
    values: [projectId, userId],
  });
  return { role: null, joined: null, owners: 0, ...row };
}

/** The owner of a project with the longest membership, under the project's lock; null for none. Plan: members_pkey. */
export async function findLongestOwner(tx: Queryable, projectId: string): Promise<string | null> {
  const [owner] = await tx.query<{ user_id: string }>({
    text: `SELECT user_id FROM projects.members WHERE project_id = $1 AND role = 'owner'
           ORDER BY created_at, user_id LIMIT 1`,
    values: [projectId],
  });
  return owner?.user_id ?? null;
}

/**
 * The heir of a project whose only owner goes: the active member with the highest role, then the longest membership.
 * Plan: members_pkey. @returns null where another owner stays, or nobody else is there
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

/** A project with other members that this user alone owns, by its slug; null for none. Plan: members_user_idx, members_pkey. */
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
