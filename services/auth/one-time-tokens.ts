/** Links that are mailed: each works once, soon, and for the address that it was mailed to. */
import type { Queryable } from "../../mixins/database.ts";
import { keyOf } from "../../core/text.ts";
import { ACCOUNT, LINK_IN_FORCE } from "./in-force.ts";
import { hashOf, newSecret } from "./secrets.ts";

export type Purpose = "verify_email" | "reset_password";

/** Seconds. A reset opens the account, so it lives shorter. */
const LIFETIME: Record<Purpose, number> = { verify_email: 86_400, reset_password: 3600 };

const TODAY = "b.day_began > clock_timestamp() - interval '24 hours'";

/**
 * Seconds in which no second mail of one purpose goes to one address, as long as the link of the last one
 * is good: anybody may ask for a reset in another's name.
 */
const PAUSE_SECONDS = 60;
/** Mails of one purpose that a user is sent in 24 hours: a new address each time would mail as many strangers. */
const MAILS_A_DAY = 10;

/** Tells one address of a user from another. */
const addressMark = (userId: string, email: string): number =>
  hashOf(`${userId} ${keyOf(email)}`).readInt32BE();

/**
 * A new token for a mail. Verification links end with the next one; links to reset do not, or a stranger could end
 * them. Of those who ask at once one gets it: they take turns at the budget's row.
 * @returns null when the last mail to this address is younger than a minute, or the day's mails are used up
 */
export async function issueToken(
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
      new Date(Date.now() + LIFETIME[purpose] * 1000),
      addressMark(id, email),
      PAUSE_SECONDS,
      MAILS_A_DAY,
    ],
  });
  return rows.length === 0 ? null : token;
}

/** Gives a mail back that could not be handed over, so that the next try need not wait. Its token stays: the mail may have gone after all. */
export async function giveMailBack(db: Queryable, purpose: Purpose, userId: string): Promise<void> {
  await db.query({
    name: "auth-mail-give-back",
    write: true,
    text: `UPDATE auth.mail_budgets SET mails = mails - 1, mailed_at = '-infinity' WHERE user_id = $1 AND purpose = $2`,
    values: [userId, purpose],
  });
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
