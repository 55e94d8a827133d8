/**
 * All sessions and tokens of an account end in the commit that makes it necessary. The cleanup follows that commit.
 *
 *     commit: generation + 1        ─▶ every older session and token is over (services/auth/validity.ts)
 *             row in users.endings  ─▶ cleanup: old sessions lose their details; an erased account leaves projects and tasks
 *
 * The node that committed begins at once. A row is leased to one node at a time; when that node dies, another one takes
 * the row after LEASE_MS. Each step may run twice. The row stays until a pass that began after SETTLE_MS succeeds, because
 * a request that read the account before the commit may assign a task to it after the commit.
 */
import type { Queryable } from "../../mixins/database.ts";

/** Milliseconds that a node has for one step before another node may take the row. With the poll, less than 5 s. */
const LEASE_MS = 3000;
/** Milliseconds after which no request that began before the commit still runs; it may know the account from a 5 s cache. */
const SETTLE_MS = 10_000;

const after = (ms: number): string => `clock_timestamp() + interval '${ms} milliseconds'`;

/** What an UPDATE of users.users sets to end all sessions, by Postgres' clock. The statement sets `kept_session` itself. */
export const ENDS_SESSIONS =
  "sessions_generation = sessions_generation + 1, sessions_ended_at = clock_timestamp()";

/**
 * SQL that enqueues cleanups.
 * @param ended the rows (id, sessions_generation) of the accounts whose sessions end
 * @param erasedBy the parameter with the id of the user who erased the account
 */
export const enqueueCleanup = (ended: string, erasedBy = "NULL::uuid"): string =>
  `INSERT INTO users.endings AS e (user_id, generation, erased_by, due_at, settles_at)
   SELECT id, sessions_generation, ${erasedBy}, ${after(LEASE_MS)}, ${after(SETTLE_MS)} FROM ${ended}
   ON CONFLICT (user_id) DO UPDATE
   SET generation = excluded.generation, erased_by = coalesce(e.erased_by, excluded.erased_by),
       due_at = excluded.due_at, settles_at = excluded.settles_at
   RETURNING user_id`;

/**
 * Ends all sessions of an account within the caller's transaction.
 * @param erasedBy the user who erases the account with it; null when the account stays
 */
export async function endSessions(
  tx: Queryable,
  userId: string,
  erasedBy: string | null = null,
): Promise<void> {
  await tx.query({
    text: `WITH ended AS (
             UPDATE users.users SET ${ENDS_SESSIONS}, kept_session = NULL WHERE id = $1
             RETURNING id, sessions_generation)
           ${enqueueCleanup("ended", "$2::uuid")}`,
    values: [userId, erasedBy],
  });
}

/** The cleanup of one account. */
export interface Cleanup {
  user_id: string;
  generation: number;
  erased_by: string | null;
  /** Whether the pass that begins now may be the last. */
  settled: boolean;
}

const CLEANUP = "user_id, generation, erased_by, settles_at <= clock_timestamp() AS settled";

/** Leases the cleanup that is due the longest. Plan: endings_due_idx. @returns null when none is due */
export async function leaseDueCleanup(db: Queryable): Promise<Cleanup | null> {
  const [row] = await db.query<Cleanup>({
    name: "users-ending-take-up",
    write: true,
    text: `UPDATE users.endings SET due_at = ${after(LEASE_MS)} WHERE user_id = (
             SELECT user_id FROM users.endings WHERE due_at <= clock_timestamp()
             ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
           RETURNING ${CLEANUP}`,
  });
  return row ?? null;
}

/** Leases the cleanup that this node's own commit enqueued, or renews its lease. Plan: primary key. */
export async function leaseCleanup(db: Queryable, userId: string): Promise<Cleanup | null> {
  const [row] = await db.query<Cleanup>({
    name: "users-ending-hold",
    write: true,
    text: `UPDATE users.endings SET due_at = ${after(LEASE_MS)} WHERE user_id = $1 RETURNING ${CLEANUP}`,
    values: [userId],
  });
  return row ?? null;
}

/** Ends a pass that succeeded: the last one deletes the row, an earlier one postpones it until it is settled. */
export async function completeCleanup(
  db: Queryable,
  { user_id, generation, settled }: Cleanup,
): Promise<void> {
  const values = [user_id, generation];
  await db.query(
    settled
      ? {
          name: "users-ending-complete",
          write: true,
          // A later generation needs a pass of its own.
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
