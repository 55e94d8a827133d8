/** Personal access tokens: for machines, shown once, stored as a hash, ended by their owner. */
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { Actor, Role } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import { PERSONAL_TOKEN_PREFIX, type PersonalToken, type TokenScope } from "./auth.contract.ts";
import { ACCOUNT, SESSION_IN_FORCE, TOKEN_IN_FORCE } from "./in-force.ts";
import { hashOf, newSecret } from "./secrets.ts";

/**
 * It gets the generation that the account has while it is written, so that what ends the session that asks, even in that
 * moment, ends the token too.
 * @returns the token's own text too, which nobody can see again
 * @throws Problem invalid-token when the session that asks has ended meanwhile
 */
export async function createToken(
  db: Queryable,
  { id: userId, session }: Actor,
  {
    name,
    scope,
    project_ids = null,
    expires_at = null,
  }: { name: string; scope: TokenScope; project_ids?: string[] | null; expires_at?: string | null },
): Promise<PersonalToken & { token: string }> {
  const token = `${PERSONAL_TOKEN_PREFIX}${newSecret()}`;
  const row = { id: newId(), name, scope, project_ids, created_at: new Date().toISOString(), expires_at };
  const rows = await db.query({
    name: "auth-token-insert",
    text: `INSERT INTO auth.personal_tokens (id, user_id, name, scope, hash, created_at, expires_at, project_ids, generation)
           SELECT $1, $2, $3, $4, $5, $6::timestamptz, $7::timestamptz, $9::uuid[], a.generation
           FROM auth.sessions t ${ACCOUNT}
           WHERE t.id = $8 AND t.user_id = $2 AND ${SESSION_IN_FORCE} RETURNING id`,
    values: [row.id, userId, name, scope, hashOf(token), row.created_at, expires_at, session, project_ids],
  });
  if (rows.length === 0) throw new Problem("invalid-token");
  return { ...row, token };
}

export const TOKEN_SORTS = ["created_at", "name"];

/** A user's tokens that work, the newest first unless they say. Plan: personal_tokens_user_idx. */
export async function listTokens(db: Queryable, userId: string, page: PageOf): Promise<Page<PersonalToken>> {
  const parameters = new Parameters();
  const listing: Listing = {
    columns: "t.id, t.name, t.scope, t.project_ids, t.created_at, t.expires_at",
    branches: [
      {
        from: `auth.personal_tokens t ${ACCOUNT}`,
        where: [`t.user_id = ${parameters.add(userId)}`, TOKEN_IN_FORCE],
      },
    ],
    sorts: {
      created_at: { sql: "t.created_at", type: "timestamptz" },
      name: { sql: "lower(t.name)", type: "text" },
    },
    sort: "-created_at",
    indexed: [],
    small: true,
    caller: userId,
  };
  const view = ({ id, name, scope, project_ids, created_at, expires_at }: PersonalToken): PersonalToken => ({
    id,
    name,
    scope,
    project_ids,
    created_at,
    expires_at,
  });
  return (await readPage(db, listStatement(listing, page, parameters), page, view)).page;
}

/** Ends one token of a user. @returns whether it was there and open */
export async function revokeToken(db: Queryable, userId: string, id: string): Promise<boolean> {
  const rows = await db.query({
    name: "auth-token-revoke",
    text: `UPDATE auth.personal_tokens t SET revoked_at = clock_timestamp() FROM users.standings a
           WHERE t.id = $1 AND t.user_id = $2 AND a.id = $2 AND ${TOKEN_IN_FORCE} RETURNING t.id`,
    values: [id, userId],
  });
  return rows.length > 0;
}

/** A token that is in force, and whom it speaks for. */
type FoundToken = Pick<PersonalToken, "id" | "scope" | "project_ids" | "expires_at"> & {
  user_id: string;
  role: Role;
};

/** Whose token this is; null for one that is unknown or not in force. Plan: personal_tokens_hash_key. */
export async function findToken(db: Queryable, token: string): Promise<FoundToken | null> {
  const [row] = await db.query<FoundToken>({
    name: "auth-token-find",
    text: `SELECT t.id, t.user_id, a.role, t.scope, t.project_ids, t.expires_at FROM auth.personal_tokens t ${ACCOUNT}
           WHERE t.hash = $1 AND ${TOKEN_IN_FORCE}`,
    values: [hashOf(token)],
  });
  return row ?? null;
}
