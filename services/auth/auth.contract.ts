import { remote, type ServiceContract } from "../../core/kit.ts";
import type { NewUser, User } from "../users/users.contract.ts";

/** The answer to a login or a refresh (contract.md §2). */
export interface Login {
  access_token: string;
  token_type: "Bearer";
  /** Seconds. */
  expires_in: number;
  refresh_token: string;
  user: User;
}

export interface AuthContract extends ServiceContract {
  name: "auth";
  actions: {
    register: { params: NewUser; result: User };
    login: { params: { login?: string; email?: string; password: string }; result: Login };
    refresh: { params: { refresh_token: string }; result: Login };
    logout: { params: Record<never, never>; result: void };
    me: { params: Record<never, never>; result: User };
    /** Ends all sessions and personal tokens of a user, but for one session that is named. */
    revoke_user: { params: { user_id: string; except_session?: string }; result: void };
  };
}

export const auth = remote<AuthContract>("auth");
