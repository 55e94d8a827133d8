import { type ModelStatic, type Model, Op } from "sequelize";
import { missing } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import { keyOf } from "../../core/text.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, literally, Parameters, readPage } from "../../mixins/listing.ts";
import { readModel } from "../../mixins/model.ts";
import { USER_COLUMNS } from "./users.columns.ts";
import type { FoundPerson, PersonStanding, User } from "./users.contract.ts";
import type { UserRow } from "./users.model.ts";
import { may, maySearchAccounts } from "./users.policy.ts";
import { foundPersonView } from "./users.view.ts";

export type UserModel = ModelStatic<Model<UserRow>>;

/** @returns null where there is no such account */
export const findAccount = async (model: UserModel, id: string): Promise<UserRow | null> =>
  (await readModel(() => model.findByPk(id)))?.get() ?? null;

/** The account with this e-mail address or user name, also one that is not active. Plan: both unique indexes. */
export async function findByLogin(model: UserModel, login: string): Promise<UserRow | null> {
  const key = keyOf(login);
  const where = { [Op.or]: [{ email_key: key }, { username_key: key }] };
  return (await readModel(() => model.findOne({ where })))?.get() ?? null;
}

/** The people that exist of these, with what they may do, in no particular order. Plan: primary key. */
export const findPeople = (db: Queryable, ids: string[]): Promise<PersonStanding[]> =>
  db.query<PersonStanding>({
    name: "users-people",
    text: `SELECT id, username, first_name, last_name, is_active, role FROM users.users WHERE id = ANY ($1::uuid[])`,
    values: [ids],
  });

/** The active user with this e-mail address, in any case of its letters. Plan: users_email_key. */
export async function findByEmail(db: Queryable, email: string): Promise<User | null> {
  const [user] = await db.query<User>({
    name: "users-by-email",
    text: `SELECT ${USER_COLUMNS} FROM users.users WHERE email_key = $1 AND is_active`,
    values: [keyOf(email)],
  });
  return user ?? null;
}

/** The id of the account with this e-mail address or user name; null for none. Plan: both unique indexes. */
export async function accountIdOf(db: Queryable, login: string): Promise<string | null> {
  const [user] = await db.query<{ id: string }>({
    name: "users-account-of",
    text: "SELECT id FROM users.users WHERE email_key = $1 OR username_key = $1",
    values: [keyOf(login)],
  });
  return user?.id ?? null;
}

/**
 * An account that the caller may know of; it may be an erased one. Plan: primary key.
 * @throws Problem not-found
 */
export async function findUser(db: Queryable, actor: Actor, id: string): Promise<User> {
  const [user] = await db.query<User>({
    name: "users-find",
    text: `SELECT ${USER_COLUMNS} FROM users.users WHERE id = $1`,
    values: [id],
  });
  if (user === undefined || !may(actor, "read", user)) throw missing("user", id);
  return user;
}

/**
 * People by a part of their user name or full name; those whose user name begins with it come first. Only an admin's
 * search looks at e-mail addresses: a match would tell others an address that the answer hides.
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
  return (await readPage<FoundPerson>(db, listStatement(listing, page, parameters), page, foundPersonView))
    .page;
}
