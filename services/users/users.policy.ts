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

/** Closed by default: a verb that no line here grants is refused. Who left is there for admins alone. */
export function may(actor: Actor, verb: UserVerb, user: UserStanding): boolean {
  if (actor.role === "admin") return ADMIN.includes(verb);
  if (!user.is_active) return false;
  return (user.id === actor.id ? SELF : OTHERS).includes(verb);
}

/** The detail of a refusal, for a caller who may see the person. */
export const WHY_NOT: Record<UserVerb, string> = {
  read: "Only admins read accounts that are closed",
  read_account: "An account is read by its owner and by admins",
  edit: "An account is changed by its owner and by admins",
  administer: "Only admins change role and is_active",
  erase: "An account is erased by its owner and by admins",
};

/** Whether the list shows e-mail addresses, searches them, and holds those who are not active. */
export const maySearchAccounts = (actor: Actor): boolean => actor.role === "admin";
