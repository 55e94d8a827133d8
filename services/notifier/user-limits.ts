/** Limits on what all sockets of one user cost a node together. A new connection does not renew them. */
import type { Socket } from "socket.io";
import { TokenBucket } from "./token-bucket.ts";

/** Streams that one point pays for, where a connection joins many at once. */
const STREAMS_PER_POINT = 100;

interface Account {
  openSockets: number;
  requests: TokenBucket;
}

export class UserLimits {
  readonly #accounts = new Map<string, Account>();
  /** Users without sockets: of thousands, `prune` looks at these alone. */
  readonly #away = new Set<string>();

  openSockets(userId: string): number {
    return this.#accounts.get(userId)?.openSockets ?? 0;
  }

  /** Counts a connection as its user's until it closes. @returns false for one that has closed already */
  enter(userId: string, conn: Pick<Socket["conn"], "readyState" | "on">): boolean {
    // A connection that closed during the look-up of its token emits no `close` any more.
    if (conn.readyState !== "open") return false;
    const account = this.#of(userId);
    account.openSockets += 1;
    this.#away.delete(userId);
    // It comes once, and `once` would hold five objects more.
    conn.on("close", () => {
      account.openSockets -= 1;
      if (account.openSockets === 0) this.#away.add(userId);
    });
    return true;
  }

  /** Pays for a request that costs queries. @returns whether the user's bucket held enough */
  spend(userId: string, now?: number): boolean {
    const { requests } = this.#of(userId, now);
    // A refused request costs nothing, so a client that repeats it does not wait longer.
    return requests.left(now) >= 1 && requests.spend(1, now);
  }

  /** Charges for streams that a socket is about to join. The user's next requests wait until the debt is paid. */
  charge(userId: string, streams: number, now?: number): void {
    this.#of(userId, now).requests.spend(Math.floor(streams / STREAMS_PER_POINT), now);
  }

  /** Forgets users without sockets whose bucket is full: a new one would be the same. */
  prune(now?: number): void {
    for (const id of this.#away) {
      if (this.#accounts.get(id)?.requests.isFull(now) === false) continue;
      this.#away.delete(id);
      this.#accounts.delete(id);
    }
  }

  #of(userId: string, now?: number): Account {
    let account = this.#accounts.get(userId);
    if (account === undefined) {
      this.#accounts.set(userId, (account = { openSockets: 0, requests: new TokenBucket(now) }));
      this.#away.add(userId);
    }
    return account;
  }
}
