/**
 * The sessions that a gateway or notifier must refuse though a token's signature is good. It is filled by hints, which
 * may be lost, and by polling, which may be late; either alone is enough. Bounded by time: a session whose tokens have
 * all expired needs no refusal.
 */
export class RevokedSessions {
  readonly #until = new Map<string, number>();
  readonly #keep: number;

  /** @param tokenTtl seconds that an access token lives */
  constructor(tokenTtl: number) {
    // A minute more, for clocks that differ.
    this.#keep = (tokenTtl + 60) * 1000;
  }

  /** @returns those that were not known yet */
  add(sessionIds: readonly string[], now = Date.now()): string[] {
    const added = sessionIds.filter((id) => !this.#until.has(id));
    for (const id of added) this.#until.set(id, now + this.#keep);
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
