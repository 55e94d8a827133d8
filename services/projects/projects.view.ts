import type { ItemRow, ProjectRow, VisibleProject } from "./projects.columns.ts";
import type { EventProject, Project, ProjectItem } from "./projects.contract.ts";

/** The project in a list. */
export const itemView = (row: ItemRow): ProjectItem => ({
  id: row.id,
  slug: row.slug,
  name: row.name,
  status: row.status,
  owner_id: row.owner_id,
  role: row.role,
  version: row.version,
  created_at: row.created_at,
  updated_at: row.updated_at,
  ...(row.deleted_at !== null && { deleted_at: row.deleted_at }),
});

/** The project on its own. */
export const projectView = (row: VisibleProject, task_counts: Project["task_counts"]): Project => ({
  ...itemView(row),
  description: row.description,
  task_counts,
});

/** The project as events show it to all members. The role stays out: each member has another. */
export const eventView = (row: ProjectRow): EventProject => ({
  id: row.id,
  slug: row.slug,
  name: row.name,
  description: row.description,
  status: row.status,
  owner_id: row.owner_id,
  version: row.version,
  created_at: row.created_at,
  updated_at: row.updated_at,
  ...(row.deleted_at !== null && { deleted_at: row.deleted_at }),
});
