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
import { createHmac, randomBytes } from "node:crypto";
import { newId } from "../../core/ids.ts";
import type { Meta } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/page.ts";
import type { Revocation } from "../../core/revoked-sessions.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import type { SessionItem } from "./auth.contract.ts";
import { hashOf, newSecret } from "./secrets.ts";

/** Milliseconds. */
const GRACE = 10_000;

export interface Session {
  id: string;
  userId: string;
  refreshToken: string;
}

/** How a refresh ended: with a successor, refused, or refused with the session revoked because of it. */
export type Rotation = { session: Session } | { refused: true; revoked: string | null };

const successorOf = (token: string, salt: Buffer): string =>
  createHmac("sha256", salt).update(token).digest("base64url");

/** Opens a session. `ttl`: seconds that its refresh token lives unused. */
export async function openSession(
  db: Queryable,
  userId: string,
  ttl: number,
  client: Meta["client"],
): Promise<Session> {
  const [id, refreshToken, now] = [newId(), newSecret(), Date.now()];
  await db.query({
    name: "auth-open-session",
    text: `WITH session AS (
             INSERT INTO auth.sessions (id, user_id, created_at, last_used_at, user_agent, address)
             VALUES ($1, $2, $3, $3, $6, $7) RETURNING id)
           INSERT INTO auth.refresh_tokens (hash, session_id, expires_at) SELECT $4, id, $5 FROM session`,
    values: [
      id,
      userId,
      new Date(now),
      hashOf(refreshToken),
      new Date(now + ttl * 1000),
      client?.userAgent?.slice(0, 300) ?? null,
      client?.address ?? null,
    ],
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

/** Spends a refresh token for its successor. Refused: unknown, expired, revoked, or spent longer ago than GRACE. */
export async function rotate(db: Database, token: string, ttl: number): Promise<Rotation> {
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
    if (row === undefined || row.over) return { refused: true, revoked: null };
    const session = { id: row.session_id, userId: row.user_id };

    if (row.spent_at !== null) {
      if (Date.now() - Date.parse(row.spent_at) > GRACE || row.successor_salt === null) {
        await revokeSession(tx, session.userId, session.id);
        return { refused: true, revoked: session.id };
      }
      return { session: { ...session, refreshToken: successorOf(token, row.successor_salt) } };
    }

    const salt = randomBytes(32);
    const refreshToken = successorOf(token, salt);
    await tx.query({
      text: `WITH spent AS (
               UPDATE auth.refresh_tokens SET spent_at = $2, successor_salt = $3 WHERE hash = $1 RETURNING session_id),
             used AS (UPDATE auth.sessions SET last_used_at = $2 WHERE id = (SELECT session_id FROM spent))
             INSERT INTO auth.refresh_tokens (hash, session_id, expires_at) SELECT $4, session_id, $5 FROM spent`,
      values: [hash, new Date(), salt, hashOf(refreshToken), new Date(Date.now() + ttl * 1000)],
    });
    return { session: { ...session, refreshToken } };
  });
}

/** Ends one session of a user. @returns whether it was there and open */
export async function revokeSession(db: Queryable, userId: string, id: string): Promise<boolean> {
  const rows = await db.query({
    name: "auth-revoke-session",
    text: `UPDATE auth.sessions SET revoked_at = $3, user_agent = NULL, address = NULL
           WHERE id = $1 AND user_id = $2 AND revoked_at IS NULL RETURNING id`,
    values: [id, userId, new Date()],
  });
  return rows.length > 0;
}

/**
 * Ends the sessions of a user but for `except`, and with `tokens` their personal tokens and mailed links too. Where a
 * session was opened is forgotten with it.
 * @returns the ids of what ended
 */
export async function revokeUser(
  db: Queryable,
  userId: string,
  { except, tokens }: { except: string | null; tokens: boolean },
): Promise<string[]> {
  const sessions = await db.query<{ id: string }>({
    name: "auth-revoke-sessions",
    text: `UPDATE auth.sessions SET revoked_at = $3, user_agent = NULL, address = NULL
           WHERE user_id = $1 AND revoked_at IS NULL AND id IS DISTINCT FROM $2::uuid RETURNING id`,
    values: [userId, except, new Date()],
  });
  if (!tokens) return sessions.map(({ id }) => id);
  // A statement of its own, for a snapshot of its own: the one before waited for sessions that were minting a token.
  const ended = await db.query<{ id: string }>({
    name: "auth-revoke-tokens",
    text: `WITH links AS (DELETE FROM auth.one_time_tokens WHERE user_id = $1)
           UPDATE auth.personal_tokens SET revoked_at = $2
           WHERE user_id = $1 AND revoked_at IS NULL RETURNING id`,
    values: [userId, new Date()],
  });
  return [...sessions, ...ended].map(({ id }) => id);
}

export const SESSION_SORTS = ["last_used_at", "created_at"];

/** A user's open sessions, the last used first unless they say. Plan: sessions_user_idx. */
export async function listSessions(
  db: Queryable,
  { userId, current }: { userId: string; current: string },
  page: PageOf,
): Promise<Page<SessionItem>> {
  const parameters = new Parameters();
  const renewable = `EXISTS (
    SELECT FROM auth.refresh_tokens r WHERE r.session_id = t.id AND r.spent_at IS NULL AND r.expires_at > now())`;
  const listing: Listing = {
    columns: "t.id, t.created_at, t.last_used_at, t.user_agent, t.address",
    branches: [
      {
        from: "auth.sessions t",
        where: [`t.user_id = ${parameters.add(userId)}`, "t.revoked_at IS NULL", renewable],
      },
    ],
    sorts: {
      last_used_at: { sql: "t.last_used_at", type: "timestamptz" },
      created_at: { sql: "t.created_at", type: "timestamptz" },
    },
    sort: "-last_used_at",
  };
  const view = ({ id, created_at, last_used_at, user_agent, address }: SessionItem): SessionItem => ({
    id,
    created_at,
    last_used_at,
    user_agent,
    address,
    current: id === current,
  });
  return (await readPage(db, listStatement(listing, page, parameters), page, view)).page;
}

/** What was revoked since a time (ISO 8601): sessions and personal tokens. Plan: sessions_revoked_idx and its like. */
export function readRevoked(db: Queryable, since: string): Promise<Revocation[]> {
  return db.query({
    name: "auth-revoked",
    text: "SELECT session_id, revoked_at FROM auth.revoked WHERE revoked_at > $1",
    values: [since],
  });
}
