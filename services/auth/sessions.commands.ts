/**
 * Sessions and their refresh tokens (RFC 6749 §6, RFC 9700 §4.14).
 *
 *     login ─▶ live ── refresh ─▶ live ── refresh ─▶ live …       one session, a chain of tokens, one of them live
 *               └─ spent             └─ spent
 *
 * A client that lost the response sends a spent token again, and its successor was never used: the client gets the same
 * successor, however late. The server stores no token; it derives the successor from the spent token and a salt in its row.
 * A spent token that comes more than REUSE_GRACE_S after its successor's first use was stolen: the session is revoked.
 */
import { createHmac, randomBytes } from "node:crypto";
import { newId } from "../../core/ids.ts";
import type { Meta } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type RememberedResponse, rememberResponse, responseParameter } from "../../mixins/idempotency.ts";
import type { User } from "../users/users.contract.ts";
import { hashOf, newSecret } from "./secrets.ts";
import { JOIN_ACCOUNT, VALID_SESSION } from "./validity.ts";

const REUSE_GRACE_S = 10;

export interface Session {
  id: string;
  userId: string;
  refreshToken: string;
}

/** How a refresh ended: with a successor, or refused; `revoked` is the session that the refusal ended, if any. */
export type Rotation = { session: Session; user: User } | { refused: true; revoked: string | null };

const successorOf = (token: string, salt: Buffer): string =>
  createHmac("sha256", salt).update(token).digest("base64url");

/**
 * Opens a session under the generation that the account had when the password was checked.
 * @param ttlS the seconds that its refresh token lives unused
 * @returns null when the account's sessions ended meanwhile: its password may have changed
 */
export async function openSession(
  db: Queryable,
  { id: userId, generation }: { id: string; generation: number },
  ttlS: number,
  client: Meta["client"],
): Promise<Session | null> {
  const [id, refreshToken, now] = [newId(), newSecret(), Date.now()];
  const rows = await db.query({
    name: "auth-open-session",
    text: `WITH session AS (
             INSERT INTO auth.sessions (id, user_id, created_at, last_used_at, user_agent, address, generation)
             SELECT $1, $2, $3, $3, $6, $7, a.generation FROM users.standings a
             WHERE a.id = $2 AND a.is_active AND a.generation = $8 RETURNING id)
           INSERT INTO auth.refresh_tokens (hash, session_id, expires_at) SELECT $4, id, $5 FROM session RETURNING session_id`,
    values: [
      id,
      userId,
      new Date(now),
      hashOf(refreshToken),
      new Date(now + ttlS * 1000),
      client?.userAgent?.slice(0, 300) ?? null,
      client?.address ?? null,
      generation,
    ],
  });
  return rows.length === 0 ? null : { id, userId, refreshToken };
}

/** A valid refresh token with its account. */
interface FoundToken extends User {
  session_id: string;
  /** Whether it was spent before. */
  is_spent: boolean;
  /** Whether it is spent by now, and has the offered successor. */
  is_exchanged: boolean;
  /** That of a spent token. */
  successor_salt: Buffer | null;
}

/**
 * Spends a refresh token and stores its successor, in one commit with the look at its session and its account: no token is
 * spent for an answer that can't be given. Of several at once one is faster; the others find the token spent.
 * @returns null for a token that is unknown, expired, or of an ended session. Plan: refresh_tokens_pkey.
 */
async function exchange(
  db: Queryable,
  token: string,
  { salt, successor, ttlS }: { salt: Buffer; successor: string; ttlS: number },
): Promise<FoundToken | null> {
  const now = Date.now();
  const [found] = await db.query<FoundToken>({
    name: "auth-refresh",
    write: true,
    text: `WITH found AS (
             SELECT r.session_id, t.user_id, r.spent_at, r.successor_salt
             FROM auth.refresh_tokens r JOIN auth.sessions t ON t.id = r.session_id ${JOIN_ACCOUNT}
             WHERE r.hash = $1 AND r.expires_at > now() AND ${VALID_SESSION}),
           row AS (
             UPDATE auth.refresh_tokens SET spent_at = clock_timestamp(), successor_salt = $2
             WHERE hash = $1 AND spent_at IS NULL AND EXISTS (SELECT FROM found) RETURNING session_id),
           used AS (UPDATE auth.sessions SET last_used_at = $3 WHERE id = (SELECT session_id FROM row)),
           successor AS (
             INSERT INTO auth.refresh_tokens (hash, session_id, expires_at) SELECT $4, session_id, $5 FROM row)
           SELECT f.session_id, f.spent_at IS NOT NULL AS is_spent, EXISTS (SELECT FROM row) AS is_exchanged,
                  f.successor_salt, a.id, a.email, a.username, a.first_name, a.last_name, a.role, a.is_active,
                  a.is_verified, a.created_at, a.updated_at
           FROM found f JOIN users.accounts a ON a.id = f.user_id`,
    values: [hashOf(token), salt, new Date(now), hashOf(successor), new Date(now + ttlS * 1000)],
  });
  return found ?? null;
}

/** Exchanges a refresh token for its successor. Refuses one that is unknown, expired, reused, or of an ended session. */
export async function rotateRefreshToken(db: Queryable, token: string, ttlS: number): Promise<Rotation> {
  const salt = randomBytes(32);
  const offered = successorOf(token, salt);
  const found = await exchange(db, token, { salt, successor: offered, ttlS });
  if (found === null) return { refused: true, revoked: null };
  const { session_id: id, is_spent, is_exchanged, successor_salt, ...user } = found;
  const answer = (refreshToken: string) => ({ session: { id, userId: user.id, refreshToken }, user });
  if (is_exchanged) return answer(offered);
  // Another request with this token was faster. It has committed by now, so the token is found spent.
  if (!is_spent) return rotateRefreshToken(db, token, ttlS);
  const successor = successor_salt === null ? null : successorOf(token, successor_salt);
  if (successor !== null && !(await wasUsed(db, successor))) return answer(successor);
  await revokeSession(db, user.id, id);
  return { refused: true, revoked: id };
}

/** Whether a token was first used more than REUSE_GRACE_S ago, by Postgres' clock. */
async function wasUsed(db: Queryable, token: string): Promise<boolean> {
  const rows = await db.query({
    name: "auth-refresh-used",
    text: `SELECT FROM auth.refresh_tokens
           WHERE hash = $1 AND spent_at < clock_timestamp() - $2 * interval '1 second'`,
    values: [hashOf(token), REUSE_GRACE_S],
  });
  return rows.length > 0;
}

/** Ends one session of a user, and remembers the response, if there is one. @returns whether it was valid */
export async function revokeSession(
  db: Queryable,
  userId: string,
  id: string,
  response?: RememberedResponse,
): Promise<boolean> {
  const rows = await db.query({
    name: "auth-revoke-session",
    write: true,
    text: `WITH row AS (
             UPDATE auth.sessions t SET revoked_at = clock_timestamp(), user_agent = NULL, address = NULL
             FROM users.standings a
             WHERE t.id = $1 AND t.user_id = $2 AND a.id = $2 AND ${VALID_SESSION} RETURNING t.id),
           ${rememberResponse(3)}
           SELECT id FROM row`,
    values: [id, userId, responseParameter(response)],
  });
  return rows.length > 0;
}

/** Ends all sessions of a user. @returns their ids */
export async function revokeSessions(db: Queryable, userId: string): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "auth-revoke-sessions",
    text: `UPDATE auth.sessions SET revoked_at = clock_timestamp(), user_agent = NULL, address = NULL
           WHERE user_id = $1 AND revoked_at IS NULL RETURNING id`,
    values: [userId],
  });
  return rows.map(({ id }) => id);
}

/**
 * Tidies the rows of an account's older generations, none of which is valid. Sessions and personal tokens get the time of
 * their end, sessions lose address and user agent, and one-time tokens are deleted. It may run again.
 */
export async function forgetEnded(db: Queryable, userId: string): Promise<void> {
  await db.query({
    name: "auth-forget-ended",
    text: `WITH a AS (SELECT * FROM users.standings WHERE id = $1),
           sessions AS (
             UPDATE auth.sessions t SET revoked_at = coalesce(a.ended_at, now()), user_agent = NULL, address = NULL FROM a
             WHERE t.user_id = $1 AND t.revoked_at IS NULL AND NOT (${VALID_SESSION})),
           tokens AS (
             UPDATE auth.personal_tokens t SET revoked_at = coalesce(a.ended_at, now()) FROM a
             WHERE t.user_id = $1 AND t.revoked_at IS NULL AND t.generation <> a.generation)
           DELETE FROM auth.one_time_tokens t USING a WHERE t.user_id = $1 AND t.generation <> a.generation`,
    values: [userId],
  });
}
