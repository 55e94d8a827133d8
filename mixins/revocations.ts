/**
 * The sessions and personal tokens that ended before they expire, as one gateway or notifier knows them. The view
 * `auth.revoked` lists those that were ended one by one (a logout) and those of an older generation than their account
 * (a new password). The node reads Postgres and asks no service, so it can refuse them while auth is away.
 *
 *     hint with ids ──▶ known at once              hint of an account ──▶ read at once
 *     every POLL_MS ──▶ read: a lost hint costs no more than that
 *
 * A restore to an older backup loses sessions whose tokens are out already. Nothing could end them any more, so they count as
 * ended: the node asks `auth.issued` once for each session that comes, and again for all of them when it has lost connections
 * to Postgres, without which no database is replaced by another one.
 */
import { LRUCache } from "lru-cache";
import { RevokedSessions } from "../core/revoked-sessions.ts";
import type { Log } from "../core/log.ts";
import type { Database, Queryable } from "./database.ts";

/** Milliseconds between two reads: with the read itself, less than the second in which a revocation takes effect. */
const POLL_MS = 800;
/** Milliseconds that reads overlap: a commit appears later than its `revoked_at`, by less than this. */
const OVERLAP_MS = 60_000;
/** Sessions that a node remembers to have asked for; one that was forgotten is asked for again. */
const MAX_REMEMBERED = 100_000;
/** Sessions that one statement asks for. */
const MAX_ASKED = 1000;

/** Ids of the sessions and tokens that ended within the last `ms` milliseconds, by Postgres' clock. Plan: an index of each branch of the view. */
export async function revokedWithin(db: Queryable, ms: number): Promise<string[]> {
  const rows = await db.query<{ session_id: string }>({
    name: "revoked-within",
    text: "SELECT session_id FROM auth.revoked WHERE revoked_at > now() - $1 * interval '1 millisecond'",
    values: [Math.ceil(ms)],
  });
  return rows.map(({ session_id }) => session_id);
}

/** Those of some sessions and personal tokens that Postgres does not have. Plan: a lookup of each by primary key. */
export async function notIssued(db: Queryable, ids: string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "not-issued",
    text: `SELECT id FROM unnest($1::uuid[]) AS asked (id)
      WHERE NOT EXISTS (SELECT FROM auth.issued i WHERE i.id = asked.id)`,
    values: [ids],
  });
  return rows.map(({ id }) => id);
}

export class RevocationFeed {
  readonly #sessions: RevokedSessions;
  readonly #db: Pick<Database, "query" | "interruptions">;
  readonly #tokenTtlS: number;
  readonly #onEnded: (sessionIds: string[]) => void;
  /** The time of performance.now at which the last successful read began. */
  #readAt: number | null = null;
  #reading: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  #refreshing: Promise<void> | null = null;
  /** Sessions that came, and of those the ones that Postgres had, as far as its connections have held since. */
  readonly #unconfirmed = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  readonly #confirmed = new LRUCache<string, true>({ max: MAX_REMEMBERED });
  #interruptions: number;
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param tokenTtlS seconds that an access token lives
   * @param onEnded gets the id of each ended session and personal token once
   */
  constructor(
    db: Pick<Database, "query" | "interruptions">,
    tokenTtlS: number,
    onEnded: (sessionIds: string[]) => void = () => {},
  ) {
    this.#db = db;
    this.#interruptions = db.interruptions;
    this.#tokenTtlS = tokenTtlS;
    this.#onEnded = onEnded;
    this.#sessions = new RevokedSessions(tokenTtlS);
  }

  /**
   * Reads now, and every POLL_MS until `stop`. An outage is logged once.
   * @returns when the first read has ended, even if it failed
   */
  async start(log: Log<"warn">): Promise<void> {
    let isAway = false;
    const poll = () =>
      this.read()
        .then(() => this.confirm())
        .then(
          () => void (isAway = false),
          (error: Error) => {
            if (!isAway) log.warn(`ended sessions can't be read now: ${error.message}`);
            isAway = true;
          },
        );
    this.#timer = setInterval(() => void poll(), POLL_MS);
    await poll();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Whether a session or personal token has ended; null until a first read succeeded. It is asked for each that comes. */
  has(sessionId: string): boolean | null {
    if (this.#sessions.has(sessionId)) return true;
    if (this.#confirmed.get(sessionId) === undefined) this.#unconfirmed.set(sessionId, true);
    return this.#readAt === null ? null : false;
  }

  /** Takes the sessions that a hint names. */
  markEnded(sessionIds: readonly string[]): void {
    const fresh = this.#sessions.add(sessionIds);
    if (fresh.length > 0) this.#onEnded(fresh);
  }

  /**
   * Reads what ended. One read runs at a time. Calls that come meanwhile share a second one, because the first may have
   * begun too early for the commit that they are about.
   * @throws Problem database-unavailable
   */
  read(): Promise<void> {
    if (this.#reading === null) {
      this.#reading = this.#read().finally(() => (this.#reading = null));
      return this.#reading;
    }
    this.#next ??= this.#reading
      .catch(() => {})
      .then(() => {
        this.#next = null;
        return this.read();
      });
    return this.#next;
  }

  /** Begins a read after a hint that an account's sessions ended. `whenCurrent` waits for it; the next poll makes up for a failure. */
  refresh(): void {
    const read = this.read()
      .catch(() => {})
      .finally(() => {
        if (this.#refreshing === read) this.#refreshing = null;
      });
    this.#refreshing = read;
  }

  /**
   * Waits until this node has read what hints announced.
   * @throws Problem database-unavailable until a first read succeeds
   */
  async whenCurrent(): Promise<void> {
    if (this.#readAt === null) await (this.#reading ?? this.read());
    else if (this.#refreshing !== null) await this.#refreshing;
  }

  /**
   * Asks Postgres for the sessions that came, and ends those that it does not have.
   * @throws Problem database-unavailable
   */
  async confirm(): Promise<void> {
    const { interruptions } = this.#db;
    if (interruptions !== this.#interruptions) {
      for (const id of this.#confirmed.keys()) this.#unconfirmed.set(id, true);
      this.#confirmed.clear();
      this.#interruptions = interruptions;
    }
    for (;;) {
      const asked = this.#unconfirmed.keys().take(MAX_ASKED).toArray();
      if (asked.length === 0) return;
      const missing = new Set(await notIssued(this.#db, asked));
      // The next poll asks again: this answer may be of the database of before.
      if (this.#db.interruptions !== interruptions) return;
      for (const id of asked) {
        this.#unconfirmed.delete(id);
        if (!missing.has(id)) this.#confirmed.set(id, true);
      }
      this.markEnded([...missing]);
    }
  }

  async #read(): Promise<void> {
    const began = performance.now();
    const since = this.#readAt === null ? this.#tokenTtlS * 1000 : began - this.#readAt;
    this.markEnded(await revokedWithin(this.#db, since + OVERLAP_MS));
    this.#sessions.prune();
    this.#readAt = began;
  }
}
