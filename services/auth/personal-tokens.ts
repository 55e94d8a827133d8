/** Personal access tokens: for machines, shown once, stored as a hash, ended by their owner. */
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/page.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import { PERSONAL_TOKEN_PREFIX, type PersonalToken, type TokenScope } from "./auth.contract.ts";
import { hashOf, newSecret } from "./secrets.ts";

/**
 * @returns the token's own text too, which nobody can see again
 * @throws Problem invalid-token when the session that asks has ended meanwhile: what ended it must not leave a token
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
    text: `WITH session AS (
             SELECT FROM auth.sessions WHERE id = $8 AND user_id = $2 AND revoked_at IS NULL FOR SHARE)
           INSERT INTO auth.personal_tokens (id, user_id, name, scope, hash, created_at, expires_at, project_ids)
           SELECT $1, $2, $3, $4, $5, $6::timestamptz, $7::timestamptz, $9::uuid[] FROM session RETURNING id`,
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
        from: "auth.personal_tokens t",
        where: [
          `t.user_id = ${parameters.add(userId)}`,
          "t.revoked_at IS NULL",
          "coalesce(t.expires_at > now(), true)",
        ],
      },
    ],
    sorts: {
      created_at: { sql: "t.created_at", type: "timestamptz" },
      name: { sql: "lower(t.name)", type: "text" },
    },
    sort: "-created_at",
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
    text: `UPDATE auth.personal_tokens SET revoked_at = $3
           WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL RETURNING id`,
    values: [id, userId, new Date()],
  });
  return rows.length > 0;
}

type FoundToken = Pick<PersonalToken, "id" | "scope" | "project_ids" | "expires_at"> & { user_id: string };

/** Whose token this is; null for one that is unknown, expired or revoked. Plan: personal_tokens_hash_key. */
export async function findToken(db: Queryable, token: string): Promise<FoundToken | null> {
  const [row] = await db.query<FoundToken>({
    name: "auth-token-find",
    text: `SELECT id, user_id, scope, project_ids, expires_at FROM auth.personal_tokens
           WHERE hash = $1 AND revoked_at IS NULL AND coalesce(expires_at > now(), true)`,
    values: [hashOf(token)],
  });
  return row ?? null;
}
