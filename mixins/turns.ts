import { type Problem, retryLater } from "../core/errors.ts";

/** What a statement that is no page of an index may have to read (mixins/listing.ts): some thousand rows, or any number. */
export type Cost = "bounded" | "unbounded";

interface Limits {
  /** Statements under way at once. */
  all: number;
  /** Of those, the unbounded ones: others always find a place beside them. */
  unbounded: number;
  /** Of those, the ones of one user. */
  each: number;
  /** Statements that wait at once, and those of one user among them. */
  waiting: number;
  waitingEach: number;
  /** Milliseconds that a statement waits for its turn. */
  patienceMs: number;
}

interface Turn {
  cost: Cost;
  by: string | undefined;
  begin(): void;
}

/**
 * Turns at the few connections of slow statements: first come, first served, but a statement whose kind or whose user
 * has its fill under way is passed by the next. So no user's searches, and no search of all users together, hold up
 * the lists of the others.
 */
export class Turns {
  readonly #limits: Limits;
  readonly #running = new Set<Turn>();
  readonly #waiting = new Set<Turn>();

  constructor(limits: Limits) {
    this.#limits = limits;
  }

  /**
   * Runs `work` when its turn has come.
   * @param by the id of the user whose request it is; without one, no user's bound counts
   * @throws Problem rate-limited where the user's own statements are in the way, overloaded where those of all are
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
    const timer = setTimeout(refuse, this.#limits.patienceMs);
    const { waiting, waitingEach } = this.#limits;
    if (this.#mayBegin(turn)) turn.begin();
    else if (this.#waiting.size >= waiting || count(this.#waiting, ofUser(by)) >= waitingEach) refuse();
    else this.#waiting.add(turn);
    return promise;
  }

  #mayBegin({ cost, by }: Turn): boolean {
    const { all, unbounded } = this.#limits;
    if (this.#running.size >= all || this.#isFull(by)) return false;
    return cost === "bounded" || count(this.#running, (turn) => turn.cost === "unbounded") < unbounded;
  }

  #isFull(by: string | undefined): boolean {
    return count(this.#running, ofUser(by)) >= this.#limits.each;
  }

  #next(): void {
    for (const turn of this.#waiting) {
      if (this.#running.size >= this.#limits.all) return;
      if (this.#mayBegin(turn)) turn.begin();
    }
  }

  #refusal({ by }: Turn): Problem {
    const { each } = this.#limits;
    return this.#isFull(by)
      ? retryLater("rate-limited", `${each} of your lists and searches are still being read`)
      : retryLater("overloaded", "Too many lists and searches are being read");
  }
}

/** Those of one user; none where no user is named. */
const ofUser =
  (by: string | undefined) =>
  (turn: Turn): boolean =>
    by !== undefined && turn.by === by;

function count(turns: Iterable<Turn>, which: (turn: Turn) => boolean): number {
  let found = 0;
  for (const turn of turns) if (which(turn)) found += 1;
  return found;
}
