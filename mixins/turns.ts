import { type Problem, retryLater } from "../core/errors.ts";
import type { PoolState } from "./database-metrics.ts";

/** The rows that a slow statement may have to read (mixins/listing.ts): some thousand, or any number. */
export type Cost = "bounded" | "unbounded";

interface Limits {
  /** Statements under way at once, of all users. */
  all: number;
  /** Unbounded statements among them: the other places are for bounded ones. */
  unbounded: number;
  /** Statements of one user among them. */
  perUser: number;
  /** Statements that wait at once, and those of one user among them. */
  waiting: number;
  waitingPerUser: number;
  /** Milliseconds that a statement waits for its turn. */
  waitMs: number;
  /**
   * A queue that was not empty for `afterMs` is no burst, it is more than can be answered: from then on a request's statement
   * waits for `waitMs` alone. As CoDel (RFC 8289) does, so that what is answered is answered soon.
   */
  standing: { afterMs: number; waitMs: number };
}

interface Turn {
  cost: Cost;
  by: string | undefined;
  begin(): void;
}

/**
 * Turns at the few connections of slow statements. First come, first served, except that a statement whose kind or
 * user is at its limit waits, and later ones go first. So neither one user's searches nor all searches together hold up the
 * lists of other users.
 */
export class Turns {
  readonly #limits: Limits;
  readonly #running = new Set<Turn>();
  readonly #waiting = new Set<Turn>();
  /** When the queue was last empty, by performance.now. */
  #emptyAt = 0;

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * Runs `work` when its turn has come.
   * @param by the id of the user whose request it is; without it no limit per user counts
   * @throws Problem rate-limited when the user's own statements are in the way, overloaded when those of all are
   */
  async run<Result>(
    { cost, by }: { cost: Cost; by: string | undefined },
    work: () => Promise<Result>,
  ): Promise<Result> {
    const turn = await this.#take(cost, by);
    try {
      return await work();
    } finally {
      this.#running.delete(turn);
      this.#next();
    }
  }

  /** What is under way and what waits, for metrics. */
  get state(): Omit<PoolState, "connections"> {
    return { used: this.#running.size, waiting: this.#waiting.size, max: this.#limits.all };
  }

  #take(cost: Cost, by: string | undefined): Promise<Turn> {
    const { promise, resolve, reject } = Promise.withResolvers<Turn>();
    const turn: Turn = {
      cost,
      by,
      begin: () => {
        clearTimeout(timer);
        this.#waiting.delete(turn);
        this.#running.add(turn);
        resolve(turn);
      },
    };
    const refuse = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(turn);
      reject(this.#refusal(turn));
    };
    const timer = setTimeout(refuse, this.#waitMs(by));
    const { waiting, waitingPerUser } = this.#limits;
    if (this.#mayBegin(turn)) turn.begin();
    else if (this.#waiting.size >= waiting || count(this.#waiting, ofUser(by)) >= waitingPerUser) refuse();
    else this.#waiting.add(turn);
    return promise;
  }

  /** Milliseconds that a statement that comes now may wait. What serves no request, such as a job, has time. */
  #waitMs(by: string | undefined): number {
    const { waitMs, standing } = this.#limits;
    const now = performance.now();
    if (this.#waiting.size === 0) this.#emptyAt = now;
    return by !== undefined && now - this.#emptyAt > standing.afterMs ? standing.waitMs : waitMs;
  }

  #mayBegin({ cost, by }: Turn): boolean {
    const { all, unbounded } = this.#limits;
    if (this.#running.size >= all || this.#isFull(by)) return false;
    return cost === "bounded" || count(this.#running, (turn) => turn.cost === "unbounded") < unbounded;
  }

  #isFull(by: string | undefined): boolean {
    return count(this.#running, ofUser(by)) >= this.#limits.perUser;
  }

  #next(): void {
    for (const turn of this.#waiting) {
      if (this.#running.size >= this.#limits.all) return;
      if (this.#mayBegin(turn)) turn.begin();
    }
  }

  #refusal({ by }: Turn): Problem {
    const { perUser } = this.#limits;
    return this.#isFull(by)
      ? retryLater("rate-limited", `${perUser} of your lists and searches are still being read`)
      : retryLater("overloaded", "Too many lists and searches are being read");
  }
}

/** Matches the turns of one user; none when no user is named. */
const ofUser =
  (by: string | undefined) =>
  (turn: Turn): boolean =>
    by !== undefined && turn.by === by;

function count(turns: Iterable<Turn>, which: (turn: Turn) => boolean): number {
  let found = 0;
  for (const turn of turns) if (which(turn)) found += 1;
  return found;
}
