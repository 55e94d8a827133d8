/**
 * Sessions and their refresh tokens (RFC 6749 §6, RFC 9700 §4.14).
 *
 *     login ─▶ live ── refresh ─▶ live ── refresh ─▶ live …       one session, a chain of tokens, one of them live
 *               └─ spent             └─ spent
 *
 * A spent token that comes back within GRACE is a client that lost the answer: it gets the same successor again, made
 * anew from the token it sent and the salt we kept, so that no token is ever stored. After GRACE it is a thief, or the
 * thief's victim: the whole session is revoked.
 */
import { createHash, createHmac, randomBytes } from "node:crypto";
import type { Database } from "../../mixins/database.ts";
import { newId } from "../../core/ids.ts";

/** Milliseconds. */
const GRACE = 10_000;

export interface Session {
  id: string;
  userId: string;
  refreshToken: string;
}

const hashOf = (token: string): Buffer => createHash("sha256").update(token).digest();
const successorOf = (token: string, salt: Buffer): string =>
  createHmac("sha256", salt).update(token).digest("base64url");

/** Opens a session. `ttl`: seconds that its refresh token lives unused. */
export async function openSession(db: Database, userId: string, ttl: number): Promise<Session> {
  const [id, refreshToken, now] = [newId(), randomBytes(32).toString("base64url"), Date.now()];
  await db.query({
    name: "auth-open-session",
    text: `WITH session AS (INSERT INTO auth.sessions (id, user_id, created_at) VALUES ($1, $2, $3) RETURNING id)
           INSERT INTO auth.refresh_tokens (hash, session_id, expires_at) SELECT $4, id, $5 FROM session`,
    values: [id, userId, new Date(now), hashOf(refreshToken), new Date(now + ttl * 1000)],
  });
  return { id, userId, refreshToken };
}

interface TokenRow {
  session_id: string;
  user_id: string;
  spent_at: string | null;
  successor_salt: Buffer | null;
  over: boolean;
}

/**
 * Spends a refresh token for its successor.
 * @returns null when it is unknown, expired or revoked, or was spent longer ago than GRACE (which revokes the session)
 */
export async function rotate(db: Database, token: string, ttl: number): Promise<Session | null> {
  const hash = hashOf(token);
  return db.transaction(async (tx) => {
    // The lock makes two refreshes with one token take turns: the second finds it spent, and gets the same successor.
    const [row] = await tx.query<TokenRow>({
      text: `SELECT t.session_id, s.user_id, t.spent_at, t.successor_salt,
                    s.revoked_at IS NOT NULL OR t.expires_at <= $2 AS over
             FROM auth.refresh_tokens t JOIN auth.sessions s ON s.id = t.session_id
             WHERE t.hash = $1 FOR UPDATE`,
      values: [hash, new Date()],
    });
    if (row === undefined || row.over) return null;
    const session = { id: row.session_id, userId: row.user_id };

    if (row.spent_at !== null) {
      if (Date.now() - Date.parse(row.spent_at) > GRACE || row.successor_salt === null) {
        await revokeSession(tx, session.id);
        return null;
      }
      return { ...session, refreshToken: successorOf(token, row.successor_salt) };
    }

    const salt = randomBytes(32);
    const refreshToken = successorOf(token, salt);
    await tx.query({
      text: `WITH spent AS (
               UPDATE auth.refresh_tokens SET spent_at = $2, successor_salt = $3 WHERE hash = $1 RETURNING session_id)
             INSERT INTO auth.refresh_tokens (hash, session_id, expires_at) SELECT $4, session_id, $5 FROM spent`,
      values: [hash, new Date(), salt, hashOf(refreshToken), new Date(Date.now() + ttl * 1000)],
    });
    return { ...session, refreshToken };
  });
}

/** Ends a session: none of its refresh tokens works any more. */
export async function revokeSession(db: Pick<Database, "query">, id: string): Promise<void> {
  await db.query({
    name: "auth-revoke-session",
    text: "UPDATE auth.sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL",
    values: [id, new Date()],
  });
}

/** Ends all sessions and personal tokens of a user, but for the session `except`. */
export async function revokeUser(
  db: Pick<Database, "query">,
  userId: string,
  except: string | null,
): Promise<void> {
  await db.query({
    name: "auth-revoke-user",
    text: `WITH sessions AS (
             UPDATE auth.sessions SET revoked_at = $3
             WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2::uuid)
           UPDATE auth.personal_tokens SET revoked_at = $3 WHERE user_id = $1 AND revoked_at IS NULL`,
    values: [userId, except, new Date()],
  });
}
