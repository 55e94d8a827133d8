/** Links that are mailed: each works once, soon, and for the address that it was mailed to. */
import type { Queryable } from "../../mixins/database.ts";
import { ACCOUNT, LINK_IN_FORCE } from "./in-force.ts";
import { hashOf, newSecret } from "./secrets.ts";

export type Purpose = "verify_email" | "reset_password";

/** Seconds. A reset opens the account, so it lives shorter. */
const LIFETIME: Record<Purpose, number> = { verify_email: 86_400, reset_password: 3600 };

/** Seconds in which nobody gets a second mail of the same purpose: anybody may ask for a reset in another's name. */
const PAUSE: Record<Purpose, number> = { verify_email: 0, reset_password: 60 };

/**
 * A new token. Verification links end with the next one; links to reset do not, or a stranger could end them.
 * @returns null when the last one is younger than a minute
 */
export async function issueToken(
  db: Queryable,
  purpose: Purpose,
  { id, email }: { id: string; email: string },
): Promise<string | null> {
  const token = newSecret();
  const expires = Date.now() + LIFETIME[purpose] * 1000;
  const rows = await db.query({
    name: "auth-one-time-issue",
    text: `WITH former AS (
             DELETE FROM auth.one_time_tokens WHERE user_id = $2 AND purpose = $3 AND purpose = 'verify_email')
           INSERT INTO auth.one_time_tokens (hash, user_id, purpose, email, expires_at, generation)
           SELECT $1, $2, $3, $4, $5::timestamptz, a.generation FROM users.standings a
           WHERE a.id = $2 AND ($7 = 0 OR NOT EXISTS (
             SELECT FROM auth.one_time_tokens t
             WHERE t.user_id = $2 AND t.purpose = $3 AND t.expires_at > $6::timestamptz AND t.generation = a.generation))
           RETURNING hash`,
    values: [
      hashOf(token),
      id,
      purpose,
      email,
      new Date(expires),
      new Date(expires - PAUSE[purpose] * 1000),
      PAUSE[purpose],
    ],
  });
  return rows.length === 0 ? null : token;
}

/**
 * Whom a link speaks for, and under which generation of the account. Nothing is spent: what the link is for comes first.
 * @returns null for one that is unknown, used, expired or behind its account's generation
 */
export async function findLink(
  db: Queryable,
  purpose: Purpose,
  token: string,
): Promise<{ user_id: string; email: string; generation: number } | null> {
  const [row] = await db.query<{ user_id: string; email: string; generation: number }>({
    name: "auth-one-time-find",
    text: `SELECT t.user_id, t.email, t.generation FROM auth.one_time_tokens t ${ACCOUNT}
           WHERE t.hash = $1 AND t.purpose = $2 AND ${LINK_IN_FORCE}`,
    values: [hashOf(token), purpose],
  });
  return row ?? null;
}

/** Notes that a link did its work. */
export async function spendLink(db: Queryable, token: string): Promise<void> {
  await db.query({
    name: "auth-one-time-spend",
    text: "UPDATE auth.one_time_tokens SET used_at = now() WHERE hash = $1 AND used_at IS NULL",
    values: [hashOf(token)],
  });
}
