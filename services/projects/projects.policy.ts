import type { Actor } from "../../core/kit.ts";
import { PROJECT_ROLES, type ProjectRole } from "./projects.contract.ts";

export type ProjectVerb = "read" | "edit" | "manage_members" | "delete";

const NEEDS: Record<ProjectVerb, ProjectRole> = {
  read: "viewer",
  edit: "manager",
  manage_members: "manager",
  delete: "owner",
};

/** Roles compare by rank; no role ranks below all. */
export const rankOf = (role: ProjectRole | null): number =>
  role === null ? -1 : PROJECT_ROLES.indexOf(role);

/** The role in a project after the caller's global role is counted in: a manager reads everything, an admin owns it. */
export function effectiveRole(actor: Actor, role: ProjectRole | null): ProjectRole | null {
  if (actor.role === "admin") return "owner";
  if (actor.role === "manager" && role === null) return "viewer";
  return role;
}

/** Closed by default: no role, no verb. */
export const may = (actor: Actor, verb: ProjectVerb, role: ProjectRole | null): boolean =>
  rankOf(effectiveRole(actor, role)) >= rankOf(NEEDS[verb]);

const DOING: Record<ProjectVerb, string> = {
  read: "Reading",
  edit: "Editing",
  manage_members: "Managing the members of",
  delete: "Deleting or restoring",
};

/** The detail of a refusal, for a caller who may see the project. */
export const whyNot = (verb: ProjectVerb, role: ProjectRole | null): string =>
  `${DOING[verb]} this project requires the role ${NEEDS[verb]}; ${role === null ? "you are not a member" : `yours is ${role}`}`;
