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

/** What other people may know of a user. */
export interface Person {
  id: string;
  username: string;
  first_name: string | null;
  last_name: string | null;
}

/** A person in the list. Only admins see the e-mail address. */
export interface FoundPerson extends Person {
  email?: string;
}

/** What an assignment or a membership depends on. */
export interface PersonStanding extends Person {
  is_active: boolean;
  role: Role;
}

export interface NewUser {
  email: string;
  username: string;
  password: string;
  first_name?: string | null;
  last_name?: string | null;
}

export const ROLES = ["user", "manager", "admin"] as const satisfies readonly Role[];

const name = { ...rules.line(1, 100), optional: true, nullable: true, trim: true } as const;

/** Rules for `NewUser`. */
export const accountRules = {
  email: rules.email,
  username: {
    type: "string",
    min: 3,
    max: 32,
    trim: true,
    // No @: a user name never looks like another user's e-mail address.
    pattern: "^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?$",
  },
  /** The users service also refuses common ones. */
  password: { ...rules.text(8, 128, true), example: "correct horse" },
  first_name: name,
  last_name: name,
} as const;

/** Only admins set `role` and `is_active`. */
export interface UserChanges {
  email?: string;
  username?: string;
  first_name?: string | null;
  last_name?: string | null;
  role?: Role;
  is_active?: boolean;
}

/** All sessions and tokens of a user ended. It goes to every gateway and notifier; a node that misses it reads `auth.revoked`. */
export const sessionsEnded = hint<{ user_id: string }>("users.sessions_ended");

/** Milliseconds that a call which hashes a password may take: it waits for its turn. */
export const HASHING_TIMEOUT_MS = 10_000;

export interface UsersContract extends ServiceContract {
  name: "users";
  actions: {
    list: { params: PageParams & { q?: string }; result: Page<FoundPerson> };
    /** The whole account for its owner and for admins; the person for others. */
    get: { params: { id: string }; result: User | Person };
    patch: { params: UserChanges & { id: string }; result: User };
    delete: { params: { id: string }; result: void };
    create: { params: NewUser; result: User };
    /** The account as its owner sees it. */
    account: { params: { id: string }; result: User };
    /** Null for an unknown or inactive account and for a wrong password: all take equally long. */
    verify_password: {
      params: { login: string; password: string };
      result: { user: User; generation: number } | null;
    };
    /** Those of `ids` that exist, in no particular order. */
    people: { params: { ids: string[] }; result: PersonStanding[] };
    /** The active user with this e-mail address, in any case of its letters. */
    by_email: { params: { email: string }; result: User | null };
    /** The generation of the account's sessions when the password was right; null for a wrong one. */
    check_password: { params: { id: string; password: string }; result: number | null };
    /** Refuses the passwords that `set_password` refuses, and does nothing else. */
    check_new_password: { params: { password: string }; result: void };
    /** The account that a login names, so that its failures can be counted; null for none. No client may learn it. */
    account_of: { params: { login: string }; result: string | null };
    /**
     * Sets the password and ends all sessions but `keep_session` in one commit, as long as the account has this generation
     * and, if given, this address.
     */
    set_password: {
      params: { id: string; password: string; generation: number; email?: string; keep_session?: string };
      result: void;
    };
    /** Marks the address as verified, if the account still has it. */
    mark_verified: { params: { id: string; email: string }; result: void };
  };
}

export const users = remote<UsersContract>("users");
