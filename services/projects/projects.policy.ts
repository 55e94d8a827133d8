import type { Actor } from "../../core/kit.ts";
import { PROJECT_ROLES, type ProjectRole } from "./projects.contract.ts";

export type ProjectVerb = "read" | "edit" | "manage_members" | "delete";

const NEEDS: Record<ProjectVerb, ProjectRole> = {
  read: "viewer",
  edit: "manager",
  manage_members: "manager",
  delete: "owner",
};

const rank = (role: ProjectRole | null): number => (role === null ? -1 : PROJECT_ROLES.indexOf(role));

/** The role in a project that somebody's global role amounts to: a manager reads everything, an admin owns it. */
export function effectiveRole(actor: Actor, role: ProjectRole | null): ProjectRole | null {
  if (actor.role === "admin") return "owner";
  if (actor.role === "manager" && role === null) return "viewer";
  return role;
}

/** Closed by default: no role, no verb. */
export const may = (actor: Actor, verb: ProjectVerb, role: ProjectRole | null): boolean =>
  rank(effectiveRole(actor, role)) >= rank(NEEDS[verb]);

const DOES: Record<ProjectVerb, string> = {
  read: "Reading",
  edit: "Editing",
  manage_members: "Managing the members of",
  delete: "Deleting or restoring",
};

/** The detail of a refusal, for a caller who may see the project. */
export const whyNot = (verb: ProjectVerb, role: ProjectRole | null): string =>
  `${DOES[verb]} this project takes the role ${NEEDS[verb]} in it; ${role === null ? "you are no member" : `yours is ${role}`}`;

/** The same for a change of a member. */
export const whyNotMember = (actor: Actor, own: ProjectRole | null): string =>
  may(actor, "manage_members", own)
    ? `Your role is ${effectiveRole(actor, own)}: roles above it are not yours to give, change or take away`
    : whyNot("manage_members", own);

/** Nobody hands out, changes or takes away a role above their own; anyone may leave. */
export function mayChangeMember(
  actor: Actor,
  own: ProjectRole | null,
  member: { userId: string; from: ProjectRole | null; to: ProjectRole | null },
): boolean {
  if (member.userId === actor.id && member.to === null) return true;
  const top = rank(effectiveRole(actor, own));
  return may(actor, "manage_members", own) && rank(member.from) <= top && rank(member.to) <= top;
}
