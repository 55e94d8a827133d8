import { problemDocument } from "../../core/errors.ts";
import { RevokedSessions } from "../../core/revoked-sessions.ts";
import type { Database } from "../../mixins/database.ts";
import { revokedSince } from "./notifier.queries.ts";
import type { PushServer } from "./streams.ts";

/** Milliseconds that reads overlap: clocks differ, and a commit may be later than the time that it bears. */
const OVERLAP = 60_000;

/** Closes the sockets of sessions that end: at once when a hint says so, within a beat when none does. */
export class Revocations {
  readonly #ended: RevokedSessions;
  readonly #db: Database;
  readonly #io: PushServer;
  #since: number;
  #filled = false;

  /** @param tokenTtl seconds that an access token lives */
  constructor(db: Database, io: PushServer, tokenTtl: number) {
    this.#db = db;
    this.#io = io;
    this.#ended = new RevokedSessions(tokenTtl);
    this.#since = Date.now() - tokenTtl * 1000;
  }

  /** Whether a session has ended; null as long as this node could not ask. */
  has(sessionId: string): boolean | null {
    return this.#ended.has(sessionId) ? true : this.#filled ? false : null;
  }

  /** Ends the sockets of these sessions here; no frame follows for them. */
  end(sessionIds: readonly string[]): void {
    const fresh = new Set(this.#ended.add(sessionIds));
    if (fresh.size === 0) return;
    for (const socket of this.#io.of("/").sockets.values()) {
      if (!fresh.has(socket.data.actor.session)) continue;
      socket.emit("session_ended", problemDocument("invalid-token", "The session was ended: log in again"));
      socket.disconnect(true);
    }
  }

  /** Reads what no hint told. @throws Problem database-unavailable */
  async beat(): Promise<void> {
    const began = Date.now();
    this.end(await revokedSince(this.#db, new Date(this.#since - OVERLAP).toISOString()));
    this.#ended.prune();
    this.#since = began;
    this.#filled = true;
  }
}
