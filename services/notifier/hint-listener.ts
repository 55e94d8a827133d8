import type { Service, ServiceSchema } from "moleculer";
import { on } from "../../core/kit.ts";
import { committed, type CommittedHint } from "../../mixins/event-log.ts";

/** The service by which the other nodes know that this one listens. */
export const LISTENER = "notifier-hints";
/** Milliseconds without a stream after which a node stops listening: a socket that reconnects finds it listening still. */
const UNUSED_MS = 60_000;

/**
 * Hears the hints of commits, as long as this node follows a stream. A broker sends a hint to those nodes that have a service
 * for it. So this service comes and goes, and where nobody is connected a write costs no hint.
 *
 * No event is lost by it. Other nodes know of the service some milliseconds after it began, before the first socket is
 * `ready` as a rule. A commit of a node that does not know yet has a hint that was lost: the beat brings its event. A node
 * that lost its connection to NATS meanwhile asks what it has missed (middlewares/lost-messages.ts).
 */
export class HintListener {
  readonly #notifier: Service;
  readonly #schema: ServiceSchema;
  #service: Service | null = null;
  #isEnding = false;
  #usedAt = 0;

  /** @param notifier the service that hears the hints, for its log lines and spans */
  constructor(notifier: Service, hear: (hint: CommittedHint) => void) {
    const { discoverer } = notifier.broker.registry;
    const events = Object.entries(on(committed, hear)).map(([name, subscription]) => [
      name,
      { handler: subscription.handler.bind(notifier) },
    ]);
    this.#notifier = notifier;
    this.#schema = {
      name: LISTENER,
      events: Object.fromEntries(events) as ServiceSchema["events"],
      started() {
        // The service is registered in this turn. Moleculer would tell the other nodes a second later.
        setImmediate(() => void discoverer.sendLocalNodeInfo().catch(() => {}));
      },
    };
  }

  /** This node is about to follow a stream. */
  listen(): void {
    const { broker } = this.#notifier;
    this.#usedAt = performance.now();
    if (this.#service === null && !broker.stopping) this.#service = broker.createService(this.#schema);
  }

  /** Stops listening once this node has followed no stream for a while; it is called each second. */
  endUnless(isUsed: boolean): void {
    if (isUsed) this.#usedAt = performance.now();
    const isDue = performance.now() - this.#usedAt > UNUSED_MS;
    if (isDue && this.#service !== null && !this.#isEnding && !this.#notifier.broker.stopping)
      void this.#end(this.#service);
  }

  async #end(service: Service): Promise<void> {
    const { broker, logger } = this.#notifier;
    const began = performance.now();
    this.#isEnding = true;
    await broker
      .destroyService(service)
      .catch((error: unknown) => logger.warn("the service for hints did not end", error));
    this.#isEnding = false;
    this.#service = null;
    if (this.#usedAt >= began) this.listen();
  }
}
