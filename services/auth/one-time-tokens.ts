/** Links that are mailed: each works once, soon, and for the address that it was mailed to. */
import type { Queryable } from "../../mixins/database.ts";
import { hashOf, newSecret } from "./secrets.ts";

export type Purpose = "verify_email" | "reset_password";

/** Seconds. A reset opens the account, so it lives shorter. */
const LIFETIME: Record<Purpose, number> = { verify_email: 86_400, reset_password: 3600 };

/** A new token; the ones before it of the same purpose end. */
export async function issueToken(
  db: Queryable,
  purpose: Purpose,
  { id, email }: { id: string; email: string },
): Promise<string> {
  const token = newSecret();
  await db.query({
    name: "auth-one-time-issue",
    text: `WITH former AS (DELETE FROM auth.one_time_tokens WHERE user_id = $2 AND purpose = $3)
           INSERT INTO auth.one_time_tokens (hash, user_id, purpose, email, expires_at) VALUES ($1, $2, $3, $4, $5)`,
    values: [hashOf(token), id, purpose, email, new Date(Date.now() + LIFETIME[purpose] * 1000)],
  });
  return token;
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

/** Whose token this is, as long as it can be used. */
export async function peekToken(
  db: Queryable,
  purpose: Purpose,
  token: string,
): Promise<{ user_id: string; email: string } | null> {
  const [row] = await db.query<{ user_id: string; email: string }>({
    name: "auth-one-time-peek",
    text: `SELECT user_id, email FROM auth.one_time_tokens
           WHERE hash = $1 AND purpose = $2 AND used_at IS NULL AND expires_at > now()`,
    values: [hashOf(token), purpose],
  });
  return row ?? null;
}
