import { retryLater } from "./errors.ts";

/**
 * Lines by name: work of one name runs one after another. Work that would wait for the same lock in Postgres waits here,
 * and holds no connection meanwhile.
 */
export class Lines {
  readonly #waitMs: number;
  /** What ends last in each line; a line without work has none. */
  readonly #ends = new Map<string, Promise<void>>();

  /** @param waitMs milliseconds after which work that still waits is refused */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** @throws Problem overloaded; what `work` throws */
  async run<Result>(name: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#ends.get(name);
    const turn = Promise.withResolvers<void>();
    this.#ends.set(name, turn.promise);
    const since = performance.now();
    try {
      await before;
      if (performance.now() - since > this.#waitMs)
        throw retryLater("overloaded", "Too many writes wait for the same lock");
      return await work();
    } finally {
      turn.resolve();
      if (this.#ends.get(name) === turn.promise) this.#ends.delete(name);
    }
  }
}
