import { Problem } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import { type Page, type PageOf, pageOf } from "../../core/page.ts";
import type { Queryable } from "../../mixins/database.ts";
import type { FoundPerson, User } from "./users.contract.ts";
import { may, maySearchAccounts } from "./users.policy.ts";

/** The columns of `User`. */
export const USER = `id, email, username, first_name, last_name, role, is_active, is_verified, created_at, updated_at`;

/** The active user with this e-mail address, in any case of its letters. Plan: users_email_key. */
export async function findByEmail(db: Queryable, email: string): Promise<User | null> {
  const [user] = await db.query<User>({
    name: "users-by-email",
    text: `SELECT ${USER} FROM users.users WHERE lower(email) = lower($1) AND is_active`,
    values: [email],
  });
  return user ?? null;
}

/** The id of the account that a login names, by either of its names; null for none. Plan: both unique indexes. */
export async function accountOf(db: Queryable, login: string): Promise<string | null> {
  const [user] = await db.query<{ id: string }>({
    name: "users-account-of",
    text: "SELECT id FROM users.users WHERE lower(email) = lower($1) OR lower(username) = lower($1)",
    values: [login],
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
  if (user === undefined || !may(actor, "read", user)) throw new Problem("not-found");
  return user;
}

/** `text` as it is, for a LIKE pattern. */
const literally = (text: string): string => text.replace(/[\\%_]/g, "\\$&");

/**
 * People by a part of their user name or of their full name, those whose user name begins with it first. E-mail
 * addresses are searched for admins alone: for others, a match would tell an address that the answer hides.
 * Plan: a scan, since any part may match.
 */
export async function searchUsers(
  db: Queryable,
  actor: Actor,
  q: string,
  { limit, offset }: PageOf,
): Promise<Page<FoundPerson>> {
  const everything = maySearchAccounts(actor);
  const conditions = ["erased_at IS NULL"];
  if (!everything) conditions.push("is_active");
  const fields = ["username", "concat_ws(' ', first_name, last_name)", ...(everything ? ["email"] : [])];
  conditions.push(`(${fields.map((field) => `${field} ILIKE '%' || $1 || '%'`).join(" OR ")})`);
  const from = `FROM users.users WHERE ${conditions.join(" AND ")}`;
  const rows = await db.query<FoundPerson & { total: number }>({
    name: `users-search-${everything ? "all" : "active"}`,
    text: `WITH page AS (
             SELECT id, username, first_name, last_name${everything ? ", email" : ""} ${from}
             ORDER BY username ILIKE $1 || '%' DESC, lower(username) LIMIT $2 OFFSET $3)
           SELECT page.*, total FROM (SELECT count(*) AS total ${from}) AS counted LEFT JOIN page ON true`,
    values: [literally(q), limit, offset],
  });
  return pageOf(rows, { limit, offset });
}
