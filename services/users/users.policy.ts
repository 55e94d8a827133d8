import type { Actor } from "../../core/kit.ts";

/** `read`: as a person, by name; `read_account`: all of it; `administer`: role and is_active. */
export type UserVerb = "read" | "read_account" | "edit" | "administer" | "erase";

/** What decides who may do what with an account. */
export interface UserStanding {
  id: string;
  is_active: boolean;
}

const ADMIN: readonly UserVerb[] = ["read", "read_account", "edit", "administer", "erase"];
const SELF: readonly UserVerb[] = ["read", "read_account", "edit", "erase"];
const OTHERS: readonly UserVerb[] = ["read"];

/** Closed by default: a verb that no line here grants is refused. Only admins see accounts that are not active. */
export function may(actor: Actor, verb: UserVerb, user: UserStanding): boolean {
  if (actor.role === "admin") return ADMIN.includes(verb);
  if (!user.is_active) return false;
  return (user.id === actor.id ? SELF : OTHERS).includes(verb);
}

/** Details of refusals, for callers who may see the person. */
export const WHY_NOT: Record<UserVerb, string> = {
  read: "Only admins may read a deactivated account",
  read_account: "Only the owner of an account and admins may read it",
  edit: "Only the owner of an account and admins may change it",
  administer: "Only admins may change role and is_active",
  erase: "Only the owner of an account and admins may erase it",
};

/** Whether the list shows and searches e-mail addresses, and includes accounts that are not active. */
export const maySearchAccounts = (actor: Actor): boolean => actor.role === "admin";
