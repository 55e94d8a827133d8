/** Tokens in mailed links: each works once, for a short time, and for the address that it was mailed to. */
import { keyOf } from "../../core/text.ts";
import type { Queryable } from "../../mixins/database.ts";
import type { Purpose } from "./one-time-tokens.queries.ts";
import { hashOf, newSecret } from "./secrets.ts";

/** A token that resets the password opens the account, so it expires sooner. */
const LIFETIME_S: Record<Purpose, number> = { verify_email: 86_400, reset_password: 3600 };

const TODAY = "b.day_began > clock_timestamp() - interval '24 hours'";

/** Seconds between two mails of one purpose to one address while the last link is valid: strangers may ask for resets. */
const MAIL_INTERVAL_S = 60;
/** Mails of one purpose to one user in 24 hours: a user could set a stranger's address each time. */
const MAILS_A_DAY = 10;

/** A number that differs between the addresses of a user. */
const addressHash = (userId: string, email: string): number =>
  hashOf(`${userId} ${keyOf(email)}`).readInt32BE();

/**
 * A new token for a mail. It ends the user's earlier verification tokens and keeps reset tokens: anybody can ask for a reset,
 * and would end somebody else's link. Concurrent calls take turns at the budget's row, and one of them gets a token.
 * @returns null when the last mail to this address was sent within a minute, or the day's mails are used up
 */
export async function issueOneTimeToken(
  db: Queryable,
  purpose: Purpose,
  { id, email }: { id: string; email: string },
): Promise<string | null> {
  const token = newSecret();
  const rows = await db.query({
    name: "auth-one-time-issue",
    write: true,
    text: `WITH budget AS (
             INSERT INTO auth.mail_budgets AS b (user_id, purpose, day_began, mails, mailed_at, link)
             SELECT a.id, $3, clock_timestamp(), 1, clock_timestamp(), $6::integer # a.generation
             FROM users.standings a WHERE a.id = $2
             ON CONFLICT (user_id, purpose) DO UPDATE
             SET day_began = CASE WHEN ${TODAY} THEN b.day_began ELSE excluded.day_began END,
                 mails = CASE WHEN ${TODAY} THEN b.mails + 1 ELSE 1 END,
                 mailed_at = excluded.mailed_at, link = excluded.link
             WHERE (b.link <> excluded.link OR b.mailed_at <= clock_timestamp() - $7 * interval '1 second')
               AND (b.mails < $8 OR NOT ${TODAY})
             RETURNING user_id),
           former AS (
             DELETE FROM auth.one_time_tokens
             WHERE user_id IN (SELECT user_id FROM budget) AND purpose = $3 AND purpose = 'verify_email')
           INSERT INTO auth.one_time_tokens (hash, user_id, purpose, email, expires_at, generation)
           SELECT $1, a.id, $3, $4, $5::timestamptz, a.generation
           FROM budget JOIN users.standings a ON a.id = budget.user_id RETURNING hash`,
    values: [
      hashOf(token),
      id,
      purpose,
      email,
      new Date(Date.now() + LIFETIME_S[purpose] * 1000),
      addressHash(id, email),
      MAIL_INTERVAL_S,
      MAILS_A_DAY,
    ],
  });
  return rows.length === 0 ? null : token;
}

/**
 * Returns a mail to the budget after the mailer failed, so the next attempt need not wait. The token stays valid: the mail
 * may have been sent.
 */
export async function refundMail(db: Queryable, purpose: Purpose, userId: string): Promise<void> {
  await db.query({
    name: "auth-mail-give-back",
    write: true,
    text: `UPDATE auth.mail_budgets SET mails = mails - 1, mailed_at = '-infinity' WHERE user_id = $1 AND purpose = $2`,
    values: [userId, purpose],
  });
}

export async function spendOneTimeToken(db: Queryable, token: string): Promise<void> {
  await db.query({
    name: "auth-one-time-spend",
    text: "UPDATE auth.one_time_tokens SET used_at = now() WHERE hash = $1 AND used_at IS NULL",
    values: [hashOf(token)],
  });
}
