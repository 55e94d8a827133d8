/** What the sockets of one user may cost a node together, however many they are and however soon they come again. */
import type { Socket } from "socket.io";
import { Budget } from "./frames.ts";

/** Streams that one point of a user's budget pays for, where a connection asks for many at once. */
const STREAMS_PER_POINT = 100;

interface Account {
  open: number;
  budget: Budget;
}

export class Crowd {
  readonly #accounts = new Map<string, Account>();

  /** Sockets that a user has open. */
  open(userId: string): number {
    return this.#accounts.get(userId)?.open ?? 0;
  }

  /** Counts a connection as its user's until it ends. @returns false for one that has ended already */
  enter(userId: string, conn: Pick<Socket["conn"], "readyState" | "once">): boolean {
    // It may have gone while its token was looked up: then nothing tells of its end any more.
    if (conn.readyState !== "open") return false;
    const account = this.#of(userId);
    account.open += 1;
    conn.once("close", () => (account.open -= 1));
    return true;
  }

  /** Pays for a request that costs queries. @returns whether the user's budget had room for it */
  spend(userId: string, now?: number): boolean {
    const { budget } = this.#of(userId, now);
    // A refusal costs nothing: who goes on asking does not wait the longer.
    return budget.left(now) >= 1 && budget.spend(1, now);
  }

  /** Charges for streams that are about to be joined: what that leaves owing, the user's next requests wait for. */
  charge(userId: string, streams: number, now?: number): void {
    this.#of(userId, now).budget.spend(Math.floor(streams / STREAMS_PER_POINT), now);
  }

  /** Forgets who has neither a socket nor a debt. */
  prune(now?: number): void {
    for (const [id, { open, budget }] of this.#accounts)
      if (open === 0 && budget.isFull(now)) this.#accounts.delete(id);
  }

  #of(userId: string, now?: number): Account {
    let account = this.#accounts.get(userId);
    if (account === undefined) this.#accounts.set(userId, (account = { open: 0, budget: new Budget(now) }));
    return account;
  }
}
