/**
 * The sessions that a gateway or notifier refuses although a token's signature is valid. Hints, which may be lost, and
 * polling, which may be late, fill it; either alone is enough. A session leaves it once all its tokens have expired.
 */
export class RevokedSessions {
  readonly #until = new Map<string, number>();
  readonly #keepMs: number;

  /** @param tokenTtlSeconds the lifetime of an access token */
  constructor(tokenTtlSeconds: number) {
    // The minute covers clocks that differ.
    this.#keepMs = (tokenTtlSeconds + 60) * 1000;
  }

  /** @returns the ids that were new */
  add(sessionIds: readonly string[], now = Date.now()): string[] {
    const added = sessionIds.filter((id) => !this.#until.has(id));
    for (const id of added) this.#until.set(id, now + this.#keepMs);
    return added;
  }

  has(sessionId: string): boolean {
    return this.#until.has(sessionId);
  }

  /** Forgets sessions whose tokens have all expired. */
  prune(now = Date.now()): void {
    for (const [id, until] of this.#until) if (until <= now) this.#until.delete(id);
  }
}
