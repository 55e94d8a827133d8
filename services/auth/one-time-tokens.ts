/** Links that are mailed: each works once, soon, and for the address that it was mailed to. */
import type { Queryable } from "../../mixins/database.ts";
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
           INSERT INTO auth.one_time_tokens (hash, user_id, purpose, email, expires_at)
           SELECT $1, $2, $3, $4, $5::timestamptz WHERE $7 = 0 OR NOT EXISTS (
             SELECT FROM auth.one_time_tokens WHERE user_id = $2 AND purpose = $3 AND expires_at > $6::timestamptz)
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

/** Uses a token up. Of two that try at once one gets it. @returns null for one that is unknown, used or expired */
export async function redeemToken(
  db: Queryable,
  purpose: Purpose,
  token: string,
): Promise<{ user_id: string; email: string } | null> {
  const [row] = await db.query<{ user_id: string; email: string }>({
    name: "auth-one-time-redeem",
    text: `UPDATE auth.one_time_tokens SET used_at = now()
           WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()
           RETURNING user_id, email`,
    values: [hashOf(token), purpose],
  });
  return row ?? null;
}
