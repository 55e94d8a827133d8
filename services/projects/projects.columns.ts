import type { Project, ProjectItem, ProjectRole } from "./projects.contract.ts";

/** A row of projects.projects, with timestamps as the contract writes them. */
export interface ProjectRow extends Omit<Project, "role" | "task_counts" | "deleted_at"> {
  deleted_at: string | null;
}

/** A project with the caller's role in it; null for a caller who is not a member. */
export interface VisibleProject extends ProjectRow {
  role: ProjectRole | null;
}

/** What a list reads of a project. */
export interface ItemRow extends Omit<ProjectItem, "deleted_at"> {
  deleted_at: string | null;
}

/** `p` is projects.projects, `m` the caller's row of projects.members. */
export const ITEM_COLUMNS =
  "p.id, p.slug, p.name, p.status, p.owner_id, m.role, p.version, p.created_at, p.updated_at, p.deleted_at";

/** The fields that an update may change and its event shows. */
export const EDITABLE = ["slug", "name", "description", "status"] as const;
