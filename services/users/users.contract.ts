import { hint, remote, type Role, type ServiceContract } from "../../core/kit.ts";
import type { Page, PageParams } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";

/** docs/reference.md, Users. */
export interface User {
  id: string;
  email: string;
  username: string;
  first_name: string | null;
  last_name: string | null;
  role: Role;
  is_active: boolean;
  is_verified: boolean;
  created_at: string;
  updated_at: string;
}

/** What other people may know of somebody. */
export interface Person {
  id: string;
  username: string;
  first_name: string | null;
  last_name: string | null;
}

/** Who was found: with the e-mail address for admins alone. */
export interface FoundPerson extends Person {
  email?: string;
}

export interface NewUser {
  email: string;
  username: string;
  password: string;
  first_name?: string | null;
  last_name?: string | null;
}

const name = { ...rules.line(1, 100), optional: true, nullable: true, trim: true } as const;

/** Rules for `NewUser`. */
export const accountRules = {
  email: rules.email,
  username: {
    type: "string",
    min: 3,
    max: 32,
    trim: true,
    // No @: a user name never looks like somebody else's e-mail address.
    pattern: "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$",
  },
  /** Common ones are refused besides, by the users service. */
  password: { ...rules.text(8, 128, true), example: "correct horse" },
  first_name: name,
  last_name: name,
} as const;

/** What a change may name: `role` and `is_active` are for admins. */
export interface UserChanges {
  email?: string;
  username?: string;
  first_name?: string | null;
  last_name?: string | null;
  role?: Role;
  is_active?: boolean;
}

/** All that a user had open ended: to every gateway and notifier. A node that misses it reads `auth.revoked`. */
export const sessionsEnded = hint<{ user_id: string }>("users.sessions_ended");

/** Milliseconds to allow a call that hashes a password: it waits for its turn. */
export const HASHING_TIMEOUT = 10_000;

export interface UsersContract extends ServiceContract {
  name: "users";
  actions: {
    list: { params: PageParams & { q?: string }; result: Page<FoundPerson> };
    /** The whole account for its owner and for admins; the person for others. */
    get: { params: { id: string }; result: User | Person };
    patch: { params: UserChanges & { id: string }; result: User };
    delete: { params: { id: string }; result: void };
    create: { params: NewUser; result: User };
    /** The user as they see themselves. */
    account: { params: { id: string }; result: User };
    /** Null when there is no such active user, or when the password is wrong: both take equally long. */
    verify_password: {
      params: { login: string; password: string };
      result: { user: User; generation: number } | null;
    };
    /** Those of `ids` that exist, in no particular order. */
    people: { params: { ids: string[] }; result: (Person & { is_active: boolean; role: Role })[] };
    /** The active user with this e-mail address, in any case of its letters. */
    by_email: { params: { email: string }; result: User | null };
    /** The generation of the account's sessions when the password was right; null for a wrong one. */
    check_password: { params: { id: string; password: string }; result: number | null };
    /** Throws the same as `set_password` for a password that won't do, and does nothing else. */
    check_new_password: { params: { password: string }; result: void };
    /** Which account a login names, for what counts its failures; null for none. Never told to a client. */
    account_of: { params: { login: string }; result: string | null };
    /**
     * Sets the password and ends all sessions but `keep_session`, in one commit, if the account still has this generation
     * and, where one is named, this address.
     */
    set_password: {
      params: { id: string; password: string; generation: number; email?: string; keep_session?: string };
      result: void;
    };
    /** The address was proven, if the account still has it. */
    mark_verified: { params: { id: string; email: string }; result: void };
  };
}

export const users = remote<UsersContract>("users");
