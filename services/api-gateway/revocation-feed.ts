import type { ServiceBroker } from "moleculer";
import { Problem } from "../../core/errors.ts";
import { RevokedSessions } from "../../core/revoked-sessions.ts";
import { auth } from "../auth/auth.contract.ts";

/**
 * Milliseconds between two polls: how late a revocation may be whose hint was lost, as each is for a gateway that has
 * just started and that the auth service has not heard of yet.
 */
const POLL = 800;
/** Milliseconds that polls overlap: clocks differ, and a commit may be later than the time that it bears. */
const OVERLAP = 60_000;

/**
 * Keeps a gateway's set of revoked sessions, without a read per request: by hints as they come, and by asking the auth
 * service, at the start for all that still matters and every moment for what is new. While the auth service is
 * away nothing can be revoked, so the set is complete when it is back and was asked.
 */
export class RevocationFeed {
  readonly sessions: RevokedSessions;
  readonly #broker: ServiceBroker;
  #since: number;
  #filled = false;
  #asking: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

  /** @param tokenTtl seconds that an access token lives */
  constructor(broker: ServiceBroker, tokenTtl: number) {
    this.#broker = broker;
    this.sessions = new RevokedSessions(tokenTtl);
    this.#since = Date.now() - tokenTtl * 1000;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#ask(), POLL);
    void this.#ask();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** @throws Problem service-unavailable as long as it is not known who was logged out before this gateway started */
  async mustBeFilled(): Promise<void> {
    if (!this.#filled) await this.#ask();
    if (!this.#filled)
      throw new Problem("service-unavailable", undefined, { headers: { "Retry-After": "1" } });
  }

  /** One question at a time: who comes meanwhile waits for its answer. */
  #ask(): Promise<void> {
    this.#asking ??= this.#poll().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #poll(): Promise<void> {
    const began = Date.now();
    try {
      const since = new Date(this.#since - OVERLAP).toISOString();
      const found = await auth.call(this.#broker, "revoked", { since });
      this.sessions.add(found.map(({ session_id }) => session_id));
      this.sessions.prune();
      this.#since = began;
      this.#filled = true;
    } catch (error) {
      this.#broker.logger.debug("revocations could not be asked for", error);
    }
  }
}
