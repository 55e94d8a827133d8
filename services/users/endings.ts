/**
 * The end of all that an account has open, in the commit that makes it necessary, and what is left to do after it.
 *
 *     commit: generation counted on ─▶ every session and token of before is over (services/auth/in-force.ts)
 *             row in users.endings  ─▶ tidied: the old sessions forgotten; of an erased account, projects and tasks left
 *
 * The node that committed begins at once. A row belongs to whom took it up until its time comes again, so one that its
 * node died over is another's after LEASE_MS. The steps may be repeated, and are until a pass that began after SETTLE_MS
 * got through: a request that read the account before the commit may give it a task after it.
 */
import type { Queryable } from "../../mixins/database.ts";

/** Milliseconds that a node has for a step before others take the row up. With the poll, less than 5 s. */
const LEASE_MS = 3000;
/** Milliseconds after which no request is under way that began before; what it knew may come from a cache of 5 s. */
const SETTLE_MS = 10_000;

const after = (ms: number): string => `clock_timestamp() + interval '${ms} milliseconds'`;

/** What an UPDATE of users.users sets to end all sessions of the account, by Postgres' clock; `kept_session` it sets itself. */
export const ENDS_SESSIONS =
  "sessions_generation = sessions_generation + 1, sessions_ended_at = clock_timestamp()";

/**
 * SQL that marks what is left to do.
 * @param ended the rows (id, sessions_generation) of the accounts whose sessions end
 * @param erasedBy the parameter that holds who erased the account
 */
export const ending = (ended: string, erasedBy = "NULL::uuid"): string =>
  `INSERT INTO users.endings AS e (user_id, generation, erased_by, due_at, settles_at)
   SELECT id, sessions_generation, ${erasedBy}, ${after(LEASE_MS)}, ${after(SETTLE_MS)} FROM ${ended}
   ON CONFLICT (user_id) DO UPDATE
   SET generation = excluded.generation, erased_by = coalesce(e.erased_by, excluded.erased_by),
       due_at = excluded.due_at, settles_at = excluded.settles_at
   RETURNING user_id`;

/** Ends all sessions of an account within the caller's transaction. `erasedBy`: who erases the account with it. */
export async function endSessions(
  tx: Queryable,
  userId: string,
  erasedBy: string | null = null,
): Promise<void> {
  await tx.query({
    text: `WITH ended AS (
             UPDATE users.users SET ${ENDS_SESSIONS}, kept_session = NULL WHERE id = $1
             RETURNING id, sessions_generation)
           ${ending("ended", "$2::uuid")}`,
    values: [userId, erasedBy],
  });
}

/** What is left to do for one account. */
export interface Ending {
  user_id: string;
  generation: number;
  erased_by: string | null;
  /** Whether the pass that begins now may be the last. */
  settled: boolean;
}

const ENDING = "user_id, generation, erased_by, settles_at <= clock_timestamp() AS settled";

/** Takes up an ending that is due, the longest waiting first. Plan: endings_due_idx. @returns null where there is none */
export async function takeUpEnding(db: Queryable): Promise<Ending | null> {
  const [row] = await db.query<Ending>({
    name: "users-ending-take-up",
    write: true,
    text: `UPDATE users.endings SET due_at = ${after(LEASE_MS)} WHERE user_id = (
             SELECT user_id FROM users.endings WHERE due_at <= clock_timestamp()
             ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING ${ENDING}`,
  });
  return row ?? null;
}

/** The ending that this node's own commit left, and holds for now; also keeps holding it. Plan: primary key. */
export async function holdEnding(db: Queryable, userId: string): Promise<Ending | null> {
  const [row] = await db.query<Ending>({
    name: "users-ending-hold",
    write: true,
    text: `UPDATE users.endings SET due_at = ${after(LEASE_MS)} WHERE user_id = $1 RETURNING ${ENDING}`,
    values: [userId],
  });
  return row ?? null;
}

/** A pass got through: the last one takes the row away, the others leave it for when all is settled. */
export async function completeEnding(db: Queryable, { user_id, generation, settled }: Ending): Promise<void> {
  const values = [user_id, generation];
  await db.query(
    settled
      ? {
          name: "users-ending-complete",
          write: true,
          // One of a later generation is another's to do.
          text: "DELETE FROM users.endings WHERE user_id = $1 AND generation = $2",
          values,
        }
      : {
          name: "users-ending-settle",
          write: true,
          text: "UPDATE users.endings SET due_at = settles_at WHERE user_id = $1 AND generation = $2",
          values,
        },
  );
}
