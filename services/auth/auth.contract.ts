import { type Actor, hint, remote, type ServiceContract } from "../../core/kit.ts";
import type { Page, PageParams } from "../../core/pagination.ts";
import type { NewUser, User } from "../users/users.contract.ts";

/** The answer to a login or a refresh (docs/reference.md, Sessions). In cookie mode only the cookie has the refresh token. */
export interface Login {
  access_token: string;
  token_type: "Bearer";
  /** Seconds. */
  expires_in: number;
  refresh_token?: string;
  user: User;
}

/** An open session, as its user sees it. */
export interface SessionItem {
  id: string;
  created_at: string;
  last_used_at: string;
  user_agent: string | null;
  address: string | null;
  /** Whether the request came from this session. */
  current: boolean;
}

export type TokenScope = "read" | "write";
export const TOKEN_SCOPES: readonly TokenScope[] = ["read", "write"];

/** Distinguishes personal tokens from access tokens, and lets secret scanners find a leaked one. */
export const PERSONAL_TOKEN_PREFIX = "twp_";

/** The cookie with the refresh token. Browsers take a name with this prefix over TLS alone (RFC 6265bis §4.1.3.1). */
export const REFRESH_COOKIE = "__Secure-taskwire_refresh";

export interface PersonalToken {
  id: string;
  name: string;
  scope: TokenScope;
  /** The projects that the token is limited to; null for no limit. */
  project_ids: string[] | null;
  created_at: string;
  expires_at: string | null;
}

/** Sessions and personal tokens ended. It goes to every gateway and notifier; a node that misses it reads `auth.revoked`. */
export const revoked = hint<{ sessions: string[] }>("auth.revoked");

export interface AuthContract extends ServiceContract {
  name: "auth";
  actions: {
    register: { params: NewUser; result: User };
    login: { params: { login?: string; email?: string; password: string; cookie?: boolean }; result: Login };
    refresh: { params: { refresh_token: string; cookie?: boolean }; result: Login };
    logout: { params: Record<never, never>; result: void };
    logout_all: { params: Record<never, never>; result: void };
    me: { params: Record<never, never>; result: User };
    list_sessions: { params: PageParams; result: Page<SessionItem> };
    end_session: { params: { id: string }; result: void };
    verify_email: { params: { token: string }; result: void };
    resend_verification: { params: Record<never, never>; result: void };
    forgot_password: { params: { email: string }; result: void };
    reset_password: { params: { token: string; password: string }; result: void };
    change_password: { params: { current_password: string; password: string }; result: void };
    list_tokens: { params: PageParams; result: Page<PersonalToken> };
    create_token: {
      params: { name: string; scope: TokenScope; project_ids?: string[] | null; expires_at?: string | null };
      result: PersonalToken & { token: string };
    };
    revoke_token: { params: { id: string }; result: void };
    /** Tidies the sessions and tokens that a user's new generation ended. It may run again. */
    forget_ended: { params: { user_id: string }; result: void };
    /** The actor of a personal token. `expires_at`: milliseconds since 1970; null for a token that does not expire. */
    verify_token: { params: { token: string }; result: { actor: Actor; expires_at: number | null } };
  };
}

export const auth = remote<AuthContract>("auth");
