import { defineColumns } from "../../mixins/columns.ts";
import type { Project, ProjectChanges, ProjectInput, ProjectRole } from "./projects.contract.ts";

/** A row of projects.projects, with timestamps as the contract writes them. */
export interface ProjectRow extends Omit<Project, "role" | "task_counts" | "deleted_at"> {
  deleted_at: string | null;
}

/** A client may set the slug, too. It has no default: it is made from the name, and a replacement keeps it. */
type Settable = Omit<ProjectInput, "slug">;

export const projectColumns = defineColumns<
  ProjectRow,
  Settable,
  Exclude<keyof ProjectChanges, keyof Settable>
>({
  id: { type: "uuid", once: true },
  name: { type: "text", required: true },
  description: { type: "text", default: null },
  slug: { type: "text", told: true },
  status: { type: "text", default: "active" },
  owner_id: { type: "uuid", told: true },
  version: { type: "int" },
  created_at: { type: "timestamptz", once: true },
  updated_at: { type: "timestamptz" },
  deleted_at: { type: "timestamptz" },
});

/** A project with the caller's role in it; null for a caller who is not a member. */
export interface VisibleProject extends ProjectRow {
  role: ProjectRole | null;
}

/** The columns of a SELECT from projects.projects as `t` and the caller's row of projects.members as `m`. */
export const VISIBLE = `${projectColumns.selected}, m.role`;

const { description: _long, ...itemColumns } = projectColumns.list;
export type ItemRow = Omit<VisibleProject, "description">;
/** A list leaves out the description, which may be long. */
export const ITEM = [...Object.keys(itemColumns).map((name) => `t.${name}`), "m.role"].join(", ");
