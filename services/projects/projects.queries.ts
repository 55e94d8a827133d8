import { Problem } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import { type Page, type PageOf, pageOf } from "../../core/page.ts";
import type { Queryable } from "../../mixins/database.ts";
import type { ProjectItem, ProjectRole, ProjectStatus } from "./projects.contract.ts";
import { may, type ProjectVerb } from "./projects.policy.ts";

export interface ProjectRow extends ProjectItem {
  description: string | null;
}

const ITEM = "p.id, p.slug, p.name, p.status, p.owner_id, m.role, p.version, p.created_at, p.updated_at";

/**
 * A project by id or slug with the caller's role in it, if they may `verb` it. Plan: primary key or slug, then the
 * primary key of members.
 * @throws Problem not-found for one that isn't there or that the caller may not know of; forbidden
 */
export async function findProject(
  db: Queryable,
  actor: Actor,
  project: string,
  verb: ProjectVerb,
): Promise<ProjectRow> {
  const key = isId(project) ? "id" : "slug";
  const [row] = await db.query<ProjectRow>({
    name: `projects-by-${key}`,
    text: `SELECT ${ITEM}, p.description
           FROM projects.projects p LEFT JOIN projects.members m ON m.project_id = p.id AND m.user_id = $2
           WHERE p.${key} = $1 AND p.deleted_at IS NULL`,
    values: [project, actor.id],
  });
  if (row === undefined || !may(actor, "read", row.role)) throw new Problem("not-found");
  if (!may(actor, verb, row.role)) throw new Problem("forbidden");
  return row;
}

/** The caller's projects, newest first; all there are for managers and admins. Plan: members_user_idx. */
export async function listProjects(db: Queryable, actor: Actor, page: PageOf): Promise<Page<ProjectItem>> {
  const join = actor.role === "user" ? "JOIN" : "LEFT JOIN";
  const from = `FROM projects.projects p ${join} projects.members m ON m.project_id = p.id AND m.user_id = $1
                WHERE p.deleted_at IS NULL`;
  const rows = await db.query<ProjectItem & { total: number }>({
    name: `projects-list-${join}`,
    text: `WITH page AS (SELECT ${ITEM} ${from} ORDER BY p.id DESC LIMIT $2 OFFSET $3)
           SELECT page.*, total FROM (SELECT count(*) AS total ${from}) AS counted LEFT JOIN page ON true`,
    values: [actor.id, page.limit, page.offset],
  });
  return pageOf(rows, page);
}

export interface MemberRow {
  user_id: string;
  role: ProjectRole;
  created_at: string;
}

/** A project's members, longest first. Plan: primary key of members. */
export async function listMembers(db: Queryable, projectId: string, page: PageOf): Promise<Page<MemberRow>> {
  const rows = await db.query<MemberRow & { id: string; total: number }>({
    name: "projects-members",
    text: `WITH page AS (
             SELECT user_id AS id, user_id, role, created_at FROM projects.members
             WHERE project_id = $1 ORDER BY created_at, user_id LIMIT $2 OFFSET $3)
           SELECT page.*, total
           FROM (SELECT count(*) AS total FROM projects.members WHERE project_id = $1) AS counted
           LEFT JOIN page ON true`,
    values: [projectId, page.limit, page.offset],
  });
  return pageOf(rows, page);
}

export interface MemberStanding {
  role: ProjectRole | null;
  joined: string | null;
  owners: number;
  project_status: ProjectStatus;
}

/** One user's standing in a project, locked so that nobody else changes its members meanwhile. */
export async function lockMember(tx: Queryable, projectId: string, userId: string): Promise<MemberStanding> {
  const [project] = await tx.query<{ status: ProjectStatus }>({
    text: "SELECT status FROM projects.projects WHERE id = $1 AND deleted_at IS NULL FOR UPDATE",
    values: [projectId],
  });
  if (project === undefined) throw new Problem("not-found");
  const [row] = await tx.query<{ role: ProjectRole | null; joined: string | null; owners: number }>({
    text: `SELECT max(role) FILTER (WHERE user_id = $2) AS role, max(created_at) FILTER (WHERE user_id = $2) AS joined,
                  count(*) FILTER (WHERE role = 'owner') AS owners
           FROM projects.members WHERE project_id = $1`,
    values: [projectId, userId],
  });
  return { role: null, joined: null, owners: 0, ...row, project_status: project.status };
}
