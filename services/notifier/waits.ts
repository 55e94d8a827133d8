/** Requests that wait for the next event on this node. Each has a place, which its end frees. */
import { Problem, retryLater } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";

/** Requests of one user that may wait on one node. */
export const MAX_WAITS_OF_USER = 20;
/** Requests that may wait on one node: each holds the tails of its streams. */
const MAX_WAITS = 10_000;

/** One request that waits. A signal that comes between two waits ends the next one at once. */
export class Wait {
  /** The client is gone, its session has ended, or this node stops. */
  isOver = false;
  #signal = Promise.withResolvers<void>();

  readonly wake = (): void => this.#signal.resolve();

  end(): void {
    this.isOver = true;
    this.wake();
  }

  /** Waits for a signal, for `ms` at most. */
  async next(ms: number): Promise<void> {
    const timer = setTimeout(this.wake, Math.max(0, ms));
    await this.#signal.promise;
    clearTimeout(timer);
    this.#signal = Promise.withResolvers<void>();
  }
}

export class Waits {
  /** By the id of the gateway's call. */
  readonly #waits = new Map<string, { wait: Wait; actor: Actor }>();
  readonly #ofUser = new Map<string, number>();
  readonly #isLimited: boolean;
  #isClosed = false;

  /** @param isLimited whether rate limits are on */
  constructor(isLimited: boolean) {
    this.#isLimited = isLimited;
  }

  get size(): number {
    return this.#waits.size;
  }

  /**
   * Runs `work` with a place.
   * @param call id of the gateway's call
   * @throws Problem rate-limited, overloaded
   */
  async run<Result>(actor: Actor, call: string, work: (wait: Wait) => Promise<Result>): Promise<Result> {
    const held = this.#ofUser.get(actor.id) ?? 0;
    if (this.#isLimited && held >= MAX_WAITS_OF_USER)
      throw retryLater("rate-limited", `${held} requests of yours wait for events already`);
    if (this.#waits.size >= MAX_WAITS) throw new Problem("overloaded");
    const place = { wait: new Wait(), actor };
    if (this.#isClosed) place.wait.end();
    this.#waits.set(call, place);
    this.#ofUser.set(actor.id, held + 1);
    try {
      return await work(place.wait);
    } finally {
      if (this.#waits.get(call) === place) this.#waits.delete(call);
      const left = (this.#ofUser.get(actor.id) as number) - 1;
      if (left === 0) this.#ofUser.delete(actor.id);
      else this.#ofUser.set(actor.id, left);
    }
  }

  /** Ends the waits of calls that nobody needs any more. */
  end(calls: readonly string[]): void {
    for (const call of calls) this.#waits.get(call)?.wait.end();
  }

  /** Ends the waits of sessions that ended. */
  endSessions(sessions: ReadonlySet<string>): void {
    for (const { wait, actor } of this.#waits.values()) if (sessions.has(actor.session)) wait.end();
  }

  /** Ends all waits, now and from now on, because this node stops. */
  close(): void {
    this.#isClosed = true;
    for (const { wait } of this.#waits.values()) wait.end();
  }
}
