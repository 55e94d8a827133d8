import { remote, type Role, type ServiceContract } from "../../core/kit.ts";

/** contract.md §3. */
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

export interface NewUser {
  email: string;
  username: string;
  password: string;
  first_name?: string | null;
  last_name?: string | null;
}

export interface UsersContract extends ServiceContract {
  name: "users";
  actions: {
    create: { params: NewUser; result: User };
    /** The user as they see themselves. */
    account: { params: { id: string }; result: User };
    /** Null when there is no such active user, or when the password is wrong: both take equally long. */
    verify_password: { params: { login: string; password: string }; result: User | null };
    /** Those of `ids` that exist, in no particular order. */
    people: { params: { ids: string[] }; result: (Person & { is_active: boolean; role: Role })[] };
  };
}

export const users = remote<UsersContract>("users");
