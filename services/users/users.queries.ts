import { missing } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import { keyOf } from "../../core/text.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, literally, Parameters, readPage } from "../../mixins/listing.ts";
import type { FoundPerson, User } from "./users.contract.ts";
import { may, maySearchAccounts } from "./users.policy.ts";

/** The columns of `User`. */
export const USER = `id, email, username, first_name, last_name, role, is_active, is_verified, created_at, updated_at`;

/** The active user with this e-mail address, in any case of its letters. Plan: users_email_key. */
export async function findByEmail(db: Queryable, email: string): Promise<User | null> {
  const [user] = await db.query<User>({
    name: "users-by-email",
    text: `SELECT ${USER} FROM users.users WHERE email_key = $1 AND is_active`,
    values: [keyOf(email)],
  });
  return user ?? null;
}

/** The id of the account that a login names, by either of its names; null for none. Plan: both unique indexes. */
export async function accountOf(db: Queryable, login: string): Promise<string | null> {
  const [user] = await db.query<{ id: string }>({
    name: "users-account-of",
    text: "SELECT id FROM users.users WHERE email_key = $1 OR username_key = $1",
    values: [keyOf(login)],
  });
  return user?.id ?? null;
}

/**
 * An account that the caller may know of, erased ones included. Plan: primary key.
 * @throws Problem not-found
 */
export async function findUser(db: Queryable, actor: Actor, id: string): Promise<User> {
  const [user] = await db.query<User>({
    name: "users-find",
    text: `SELECT ${USER} FROM users.users WHERE id = $1`,
    values: [id],
  });
  if (user === undefined || !may(actor, "read", user)) throw missing("user", id);
  return user;
}

/**
 * People by a part of their user name or of their full name, those whose user name begins with it first. E-mail
 * addresses are searched for admins alone: for others, a match would tell an address that the answer hides.
 * Plan: users_names_idx, for a part of three characters and more.
 */
export async function searchUsers(
  db: Queryable,
  actor: Actor,
  q: string,
  page: PageOf,
): Promise<Page<FoundPerson>> {
  const everything = maySearchAccounts(actor);
  const parameters = new Parameters();
  const part = parameters.add(literally(q));
  const names = "(coalesce(first_name, '') || ' ' || coalesce(last_name, ''))";
  const fields = ["username", names, ...(everything ? ["email"] : [])];
  const where = [
    "erased_at IS NULL",
    `(${fields.map((field) => `${field} ILIKE '%' || ${part} || '%'`).join(" OR ")})`,
    ...(everything ? [] : ["is_active"]),
  ];
  const listing: Listing = {
    columns: `t.id, t.username, t.first_name, t.last_name${everything ? ", t.email" : ""}`,
    branches: [{ from: "users.users t", where }],
    sorts: {
      relevance: { sql: `(username ILIKE ${part} || '%')::int`, type: "integer" },
      username: { sql: "username_key", type: "text" },
      created_at: { sql: "t.created_at", type: "timestamptz" },
    },
    sort: "-relevance,username",
    indexed: [],
    caller: actor.id,
  };
  return (await readPage<FoundPerson>(db, listStatement(listing, page, parameters), page, foundView)).page;
}

const foundView = ({ id, username, first_name, last_name, email }: FoundPerson): FoundPerson => ({
  id,
  username,
  first_name,
  last_name,
  ...(email !== undefined && { email }),
});
