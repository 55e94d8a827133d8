/** Personal access tokens: for machines, shown once, stored as a hash, ended by their owner. */
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type RememberedResponse, rememberResponse, responseParameter } from "../../mixins/idempotency.ts";
import { PERSONAL_TOKEN_PREFIX, type PersonalToken, type TokenScope } from "./auth.contract.ts";
import { hashOf, newSecret } from "./secrets.ts";
import { JOIN_ACCOUNT, VALID_PERSONAL_TOKEN, VALID_SESSION } from "./validity.ts";

/**
 * Creates a token under the account's generation of this moment: a commit that ends the caller's session ends the token too.
 * @returns the token with its own text, which is shown only now
 * @throws Problem invalid-token when the caller's session ended meanwhile
 */
export async function createPersonalToken(
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
           FROM auth.sessions t ${JOIN_ACCOUNT}
           WHERE t.id = $8 AND t.user_id = $2 AND ${VALID_SESSION} RETURNING id`,
    values: [row.id, userId, name, scope, hashOf(token), row.created_at, expires_at, session, project_ids],
  });
  if (rows.length === 0) throw new Problem("invalid-token");
  return { ...row, token };
}

/** Ends one token of a user, and remembers the response. @returns whether it was valid */
export async function revokePersonalToken(
  db: Queryable,
  userId: string,
  id: string,
  response?: RememberedResponse,
): Promise<boolean> {
  const rows = await db.query({
    name: "auth-token-revoke",
    write: true,
    text: `WITH row AS (
             UPDATE auth.personal_tokens t SET revoked_at = clock_timestamp() FROM users.standings a
             WHERE t.id = $1 AND t.user_id = $2 AND a.id = $2 AND ${VALID_PERSONAL_TOKEN} RETURNING t.id),
           ${rememberResponse(3)}
           SELECT id FROM row`,
    values: [id, userId, responseParameter(response)],
  });
  return rows.length > 0;
}
