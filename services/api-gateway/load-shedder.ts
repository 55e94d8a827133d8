/**
 * What a gateway does with more requests than it can answer in time: it answers some of them with 503 at once, so that
 * the others are answered soon. A queue would make all of them late, and most of its work would be for clients that have
 * given up.
 *
 * How many requests may be under way follows from how long they take, as TCP's window does (AIMD):
 *
 *     half of the last window's took longer than TARGET_MS     the limit falls in that proportion, if there were many
 *     none ended, and many are under way                       it is halved
 *     else                                                     it grows by STEP
 *
 * Nobody is refused below MIN_LIMIT: a slow database alone refuses nobody. Strangers are refused first, then the reads of
 * users, last their writes: a read can be repeated by its client at no risk, and a stranger has nothing to lose here yet.
 * Probes and metrics are always answered. Requests that wait for events, and those that hash passwords, have bounds of
 * their own and are not counted; they are refused like others. For a while after a node died nothing is judged: requests have
 * waited for the dead, here or at another node that has yet to notice. And what waits for a few connections of its own, such as slow statements (mixins/turns.ts),
 * has a bound there: it is no reason to refuse everybody else.
 */
import { type Problem, retryLater } from "../../core/errors.ts";
import type { Log } from "../../core/log.ts";

/** Milliseconds over which the times of requests are judged. */
const WINDOW_MS = 100;
/**
 * Milliseconds that half of the requests may take. The promise is 500 ms at p99, which is three times the median when a
 * gateway is full; and a request has waited before it is read from its connection.
 */
const TARGET_MS = 120;
/** Requests under way at most: what comes at once to a gateway that is still cold is served within half a second. */
const MAX_LIMIT = 512;
/** Requests under way that are never too many. */
export const MIN_LIMIT = 64;
/** Requests that a good window adds to the limit. */
const STEP = 16;
/** The least part of the limit that one window leaves. */
const LEAST_LEFT = 0.5;
/** Seconds after which a refused client may come again: from the first to the last, so that not all come at once. */
const [FIRST_RETRY_S, LAST_RETRY_S] = [1, 3];
/** Milliseconds after a node's death in which the limit does not fall: as long as a call may wait (moleculer.config.ts). */
const AFTER_DEATH_MS = 2500;
/** Milliseconds between two lines of the log. */
const LOG_EVERY_MS = 10_000;

/** Whose request it is, and what it does. */
export type Kind = "stranger" | "read" | "write";

/** The part of the limit up to which requests of a kind are admitted. */
const SHARES: Readonly<Record<Kind, number>> = { stranger: 0.5, read: 0.75, write: 1 };

const median = (values: number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

export class LoadShedder {
  readonly #log: Log<"warn">;
  readonly #min: number;
  readonly #max: number;
  readonly #now: () => number;
  #limit: number;
  #underWay = 0;
  /** The most that were under way in this window. */
  #most = 0;
  #windowBegan: number;
  /** Milliseconds that those took which ended in this window. */
  #times: number[] = [];
  #refused = 0;
  #quietUntil = -Infinity;
  /** Windows that end before this time are not judged. */
  #judgedFrom = -Infinity;

  /**
   * @param min requests under way that are never too many
   * @param max requests under way at most
   * @param now milliseconds of a clock that never goes back
   */
  constructor(log: Log<"warn">, { min = MIN_LIMIT, max = MAX_LIMIT, now = () => performance.now() } = {}) {
    this.#log = log;
    this.#min = min;
    this.#max = max;
    this.#limit = max;
    this.#now = now;
    this.#windowBegan = now();
  }

  /** Requests that are under way and count. */
  get underWay(): number {
    return this.#underWay;
  }

  /** Requests that may be under way now. */
  get limit(): number {
    this.#judge();
    return this.#limit;
  }

  /** @throws Problem overloaded */
  admit(kind: Kind): void {
    if (this.#underWay >= this.limit * SHARES[kind]) throw this.#refusal();
  }

  /** Counts a request as under way. @returns ends it, once; the milliseconds that it took, unless its time says nothing */
  begin(): (took: number | null) => void {
    this.#underWay += 1;
    this.#most = Math.max(this.#most, this.#underWay);
    let isOver = false;
    return (took) => {
      if (isOver) return;
      isOver = true;
      this.#underWay -= 1;
      if (took !== null) this.#times.push(took);
    };
  }

  /** A node has died: how long its calls have waited says nothing of this gateway. */
  nodeDied(): void {
    this.#judgedFrom = this.#now() + AFTER_DEATH_MS;
  }

  /** Closes the window when it is over, and moves the limit. */
  #judge(): void {
    const now = this.#now();
    const windows = Math.floor((now - this.#windowBegan) / WINDOW_MS);
    if (windows === 0) return;
    const took = median(this.#times);
    // Few that are slow do not wait for each other.
    const many = this.#min * SHARES.stranger;
    const isJudged = now >= this.#judgedFrom;
    if (isJudged && took > TARGET_MS && this.#most >= many) {
      const left = Math.max(LEAST_LEFT, TARGET_MS / took);
      this.#limit = Math.max(this.#min, Math.floor(Math.min(this.#limit, this.#most) * left));
    } else if (isJudged && this.#times.length === 0 && this.#underWay >= many)
      this.#limit = Math.max(this.#min, Math.floor(this.#limit * LEAST_LEFT ** windows));
    else this.#limit = Math.min(this.#max, this.#limit + STEP * windows);
    this.#windowBegan = now;
    this.#times = [];
    this.#most = this.#underWay;
  }

  #refusal(): Problem {
    this.#refused += 1;
    const now = this.#now();
    if (now >= this.#quietUntil) {
      this.#log.warn(
        `${this.#refused} requests were refused: ${this.#limit} at once are all that this gateway answers in time`,
      );
      this.#quietUntil = now + LOG_EVERY_MS;
      this.#refused = 0;
    }
    const seconds = FIRST_RETRY_S + Math.floor(Math.random() * (LAST_RETRY_S - FIRST_RETRY_S + 1));
    return retryLater("overloaded", "The server has more requests than it can answer in time", seconds);
  }
}
