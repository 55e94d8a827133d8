/**
 * What ended before its tokens expire, as a gateway or notifier knows it: read from the view `auth.revoked`, which holds
 * what ended by itself (a logout) and what is behind its account's generation (a new password). Postgres is asked, never a
 * service: a node that starts while auth is away knows all the same whom to refuse.
 *
 *     hint with ids ──▶ known at once              hint of an account ──▶ read at once
 *     every second  ──▶ read: a hint that was lost costs a second
 */
import { RevokedSessions } from "../core/revoked-sessions.ts";
import type { Queryable } from "./database.ts";

/** Milliseconds that reads overlap: more than any statement takes, since a commit is later than the time that it bears. */
const OVERLAP_MS = 60_000;

/** Ids of what ended within the last milliseconds, by Postgres' own clock. Plan: an index of each branch of the view. */
export async function revokedWithin(db: Queryable, ms: number): Promise<string[]> {
  const rows = await db.query<{ session_id: string }>({
    name: "revoked-within",
    text: "SELECT session_id FROM auth.revoked WHERE revoked_at > now() - $1 * interval '1 millisecond'",
    values: [Math.ceil(ms)],
  });
  return rows.map(({ session_id }) => session_id);
}

export class RevocationFeed {
  readonly sessions: RevokedSessions;
  readonly #db: Queryable;
  readonly #tokenTtl: number;
  readonly #onEnded: (sessionIds: string[]) => void;
  /** When the last read that succeeded began, by this process's own count of time. */
  #readAt: number | null = null;
  #reading: Promise<void> | null = null;
  #next: Promise<void> | null = null;
  #hinted: Promise<void> | null = null;

  /**
   * @param tokenTtl seconds that an access token lives
   * @param onEnded is told of each session and personal token once
   */
  constructor(db: Queryable, tokenTtl: number, onEnded: (sessionIds: string[]) => void = () => {}) {
    this.#db = db;
    this.#tokenTtl = tokenTtl;
    this.#onEnded = onEnded;
    this.sessions = new RevokedSessions(tokenTtl);
  }

  /** Whether a session or personal token has ended; null as long as this node could not ask. */
  has(sessionId: string): boolean | null {
    if (this.sessions.has(sessionId)) return true;
    return this.#readAt === null ? null : false;
  }

  /** These ended: a hint says so. */
  end(sessionIds: readonly string[]): void {
    const fresh = this.sessions.add(sessionIds);
    if (fresh.length > 0) this.#onEnded(fresh);
  }

  /**
   * Reads what ended. One read runs at a time: calls that come meanwhile share one more after it, since what they were
   * told of may be too new for the first.
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

  /** Sessions of some account ended: a hint says so. `current` waits for the read. A read that fails is the next one's. */
  hinted(): void {
    const read = this.read()
      .catch(() => {})
      .finally(() => {
        if (this.#hinted === read) this.#hinted = null;
      });
    this.#hinted = read;
  }

  /**
   * Waits until this node knows what it has been told of.
   * @throws Problem database-unavailable as long as it could not ask at all
   */
  async current(): Promise<void> {
    if (this.#readAt === null) await (this.#reading ?? this.read());
    else if (this.#hinted !== null) await this.#hinted;
  }

  async #read(): Promise<void> {
    const began = performance.now();
    const since = this.#readAt === null ? this.#tokenTtl * 1000 : began - this.#readAt;
    this.end(await revokedWithin(this.#db, since + OVERLAP_MS));
    this.sessions.prune();
    this.#readAt = began;
  }
}
