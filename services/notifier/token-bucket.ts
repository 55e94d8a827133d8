/** Points of a full bucket, and points that come back each second. */
export const BUCKET_POINTS = 200;
const REFILL_POINTS_PER_S = 50;

/** A token bucket: a client spends points, and time refills them. */
export class TokenBucket {
  #points = BUCKET_POINTS;
  #at: number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(now = performance.now()) {
    this.#at = now;
  }

  /** Points that are left; a negative number is a debt. */
  left(now = performance.now()): number {
    this.#points = Math.min(BUCKET_POINTS, this.#points + ((now - this.#at) / 1000) * REFILL_POINTS_PER_S);
    this.#at = now;
    return this.#points;
  }

  /** @returns whether the bucket held enough */
  spend(points: number, now = performance.now()): boolean {
    this.#points = this.left(now) - points;
    return this.#points >= 0;
  }

  isFull(now = performance.now()): boolean {
    return this.left(now) === BUCKET_POINTS;
  }
}
