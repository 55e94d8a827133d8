import type { Actor } from "../../core/kit.ts";
import type { ProjectRole } from "./projects.contract.ts";
import { effectiveRole, may, rankOf, whyNot } from "./projects.policy.ts";

/** Nobody gives, changes or removes a role above their own; every member may leave. */
export function mayChangeMember(
  actor: Actor,
  own: ProjectRole | null,
  member: { userId: string; from: ProjectRole | null; to: ProjectRole | null },
): boolean {
  if (member.userId === actor.id && member.to === null) return true;
  const top = rankOf(effectiveRole(actor, own));
  return may(actor, "manage_members", own) && rankOf(member.from) <= top && rankOf(member.to) <= top;
}

/** The detail of a refused change, for a caller who may see the project. */
export const whyNotChangeMember = (actor: Actor, own: ProjectRole | null): string =>
  may(actor, "manage_members", own)
    ? `Your role is ${effectiveRole(actor, own)}: you can't give anybody a higher role, nor change or remove a member who has one`
    : whyNot("manage_members", own);
