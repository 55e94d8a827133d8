/**
 * Points of a budget that a gateway takes from Redis ahead, so that not each request costs a round trip. A lease is a
 * hundredth of the budget: two gateways may refuse a client that much early, and none lets more through. Small budgets,
 * and the last points of each, are taken one by one.
 */
import { LRUCache } from "lru-cache";
import { type RateLimiterAbstract, RateLimiterRes } from "rate-limiter-flexible";

/** Of a budget. */
const LEASE_PART = 100;
/** Points of a lease at most. */
const MAX_LEASE = 10;
/** Clients whose points are held; those of one that is forgotten are spent. */
const MAX_CLIENTS = 10_000;

/** What is left of a budget, and the milliseconds until its window ends. */
export type BudgetState = Pick<RateLimiterRes, "remainingPoints" | "msBeforeNext">;

export interface Taken {
  state: BudgetState;
  /** False when the budget did not have the points. */
  enough: boolean;
}

interface Lease {
  /** Points that are not used yet; none for a budget whose last points are taken one by one. */
  left: number;
  /** What the budget has besides. */
  remaining: number;
  /** When the window ends. */
  until: number;
}

/** Takes points from a budget. */
export async function take(limiter: RateLimiterAbstract, key: string, points = 1): Promise<Taken> {
  try {
    return { state: await limiter.consume(key, points), enough: true };
  } catch (state) {
    // The insurance limiter handles every other error.
    if (state instanceof RateLimiterRes) return { state, enough: false };
    throw state;
  }
}

export class Leases {
  readonly #limiter: RateLimiterAbstract;
  readonly #size: number;
  readonly #now: () => number;
  readonly #leases = new LRUCache<string, Lease>({ max: MAX_CLIENTS });
  /** Leases that Redis was asked for. */
  readonly #asked = new Map<string, Promise<unknown>>();

  /**
   * @param points of the whole budget
   * @param now milliseconds of a clock that never goes back
   */
  constructor(limiter: RateLimiterAbstract, points: number, now = () => performance.now()) {
    this.#limiter = limiter;
    this.#now = now;
    this.#size = Math.min(MAX_LEASE, Math.floor(points / LEASE_PART));
  }

  /** Takes one point. */
  async take(key: string): Promise<Taken> {
    if (this.#size < 2) return take(this.#limiter, key);
    for (;;) {
      const now = this.#now();
      const lease = this.#leases.get(key);
      if (lease !== undefined && lease.until > now) {
        if (lease.left === 0 && lease.remaining < this.#size) return take(this.#limiter, key);
        if (lease.left > 0) {
          lease.left -= 1;
          const remainingPoints = lease.remaining + lease.left;
          return { state: { remainingPoints, msBeforeNext: lease.until - now }, enough: true };
        }
      }
      const asked = this.#asked.get(key) ?? this.#ask(key);
      await asked;
    }
  }

  /** Leases points, or finds that the budget has too few left for that. */
  #ask(key: string): Promise<unknown> {
    const asking = take(this.#limiter, key, this.#size)
      .then(async ({ state, enough }) => {
        const { remainingPoints: remaining } = enough ? state : await this.#limiter.reward(key, this.#size);
        const until = this.#now() + state.msBeforeNext;
        this.#leases.set(key, { left: enough ? this.#size : 0, remaining, until });
      })
      .finally(() => this.#asked.delete(key));
    this.#asked.set(key, asking);
    return asking;
  }
}
