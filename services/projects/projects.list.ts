import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, literally, Parameters, readPage } from "../../mixins/listing.ts";
import { ITEM } from "./projects.columns.ts";
import type { ProjectItem, ProjectStatus } from "./projects.contract.ts";
import { itemView } from "./projects.view.ts";

const SORTS = {
  created_at: { sql: "t.created_at", type: "timestamptz" },
  updated_at: { sql: "t.updated_at", type: "timestamptz" },
  name: { sql: "lower(t.name)", type: "text" },
};
export const PROJECT_SORTS = Object.keys(SORTS);

export interface ProjectFilter {
  status?: ProjectStatus[];
  q?: string;
  include_deleted?: boolean;
}

/**
 * The caller's projects, newest first by default; managers and admins get all. A deleted project is listed for callers
 * who may restore it. Plan: members_user_idx and the primary key; projects_created_idx for managers and admins.
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
    filter.include_deleted === true ? `(t.deleted_at IS NULL OR ${restorable})` : "t.deleted_at IS NULL",
  ];
  // Always true. It lets Postgres use the partial index projects_created_idx.
  if (actor.role !== "user") where.push("t.created_at > '-infinity'");
  if (actor.projects !== undefined) where.push(`t.id = ANY (${parameters.add(actor.projects)}::uuid[])`);
  if (filter.status !== undefined) where.push(`t.status = ANY (${parameters.add(filter.status)}::text[])`);
  if (filter.q !== undefined)
    where.push(
      `(t.name ILIKE '%' || ${parameters.add(literally(filter.q))} || '%' OR t.slug = ${parameters.add(filter.q.toLowerCase())})`,
    );
  const listing: Listing = {
    columns: ITEM,
    branches: [
      {
        from: `projects.projects t ${join} projects.members m ON m.project_id = t.id AND m.user_id = ${parameters.add(actor.id)}`,
        where,
      },
    ],
    sorts: SORTS,
    sort: "-created_at",
    indexed: ["created_at"],
    filtered: filter.q !== undefined || filter.status !== undefined,
    // A user has few memberships, and a token names few projects.
    small: actor.role === "user" || actor.projects !== undefined,
    caller: actor.id,
  };
  return (await readPage(db, listStatement(listing, page, parameters), page, itemView)).page;
}
