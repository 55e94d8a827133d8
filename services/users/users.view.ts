import type { FoundPerson, Person, User } from "./users.contract.ts";
import type { UserRow } from "./users.model.ts";

/** The user as they and admins see them: everything but the password's hash. */
export function userView(row: UserRow): User {
  return {
    id: row.id,
    email: row.email,
    username: row.username,
    first_name: row.first_name,
    last_name: row.last_name,
    role: row.role,
    is_active: row.is_active,
    is_verified: row.is_verified,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}

/** The user as others see them. */
export function personView({ id, username, first_name, last_name }: Person): Person {
  return { id, username, first_name, last_name };
}

/** A person in the list; only an admin's query selects `email`. */
export const foundPersonView = ({ email, ...person }: FoundPerson): FoundPerson => ({
  ...personView(person),
  ...(email !== undefined && { email }),
});
