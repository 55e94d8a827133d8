/** The columns of users.users, named once: the compiler asks for each field of the contract. */
import type { User, UserChanges } from "./users.contract.ts";

const namesOf = <Name extends string>(columns: Record<Name, true>): Name[] => Object.keys(columns) as Name[];

/** What the contract shows of an account, for SELECT and RETURNING. */
export const USER_COLUMNS = namesOf<keyof User>({
  id: true,
  email: true,
  username: true,
  first_name: true,
  last_name: true,
  role: true,
  is_active: true,
  is_verified: true,
  created_at: true,
  updated_at: true,
}).join(", ");

/** What a change may set. */
export const SETTABLE = namesOf<keyof UserChanges>({
  email: true,
  username: true,
  first_name: true,
  last_name: true,
  role: true,
  is_active: true,
});
