import { hostname } from "node:os";
import type { Redis } from "ioredis";
import { type BrokerOptions, Cachers, type LoggerConfig, type ServiceBroker } from "moleculer";
import type { Config } from "./core/config.ts";
import { connectionsOf } from "./core/connections.ts";
import { natsOptions } from "./core/nats-options.ts";
import { NatsTransport } from "./core/nats-transport.ts";
import { PacketSerializer } from "./core/packets.ts";
import { VALIDATOR } from "./core/rules.ts";
import { authorize } from "./middlewares/authorize.ts";
import { boundCalls } from "./middlewares/bound-calls.ts";
import { failureDetector } from "./middlewares/failure-detector.ts";
import { lostMessages } from "./middlewares/lost-messages.ts";
import { traceActions } from "./middlewares/trace-actions.ts";
import { measureActions } from "./middlewares/measure-actions.ts";
import { connectRedis, RedisOutage } from "./mixins/redis.ts";

/** How long a write waits until Redis has marked what it outdates; readers wait less (mixins/cache.ts). */
const CACHE_TIMEOUT_MS = 500;

/** Moleculer's Redis cacher on a client of ours, over which mixins/cache.ts keeps answers. */
class RedisCacher extends Cachers.Redis<Redis> {
  readonly #url: string;

  constructor(url: string) {
    // Moleculer's own client never connects.
    super({ redis: { lazyConnect: true } });
    this.#url = url;
  }

  override init(broker: ServiceBroker): void {
    super.init(broker);
    const outage = new RedisOutage(this.logger, {
      away: "nothing is cached",
      back: "answers are cached again",
    });
    this.client = connectRedis(this.#url, outage, {
      // The commands of one turn of the event loop share a round trip.
      enableAutoPipelining: true,
      commandTimeout: CACHE_TIMEOUT_MS,
    }).on("ready", () => outage.ended());
  }

  /** Closes though Redis is away: Moleculer would wait for its answer. */
  override close(): Promise<void> {
    this.client.disconnect();
    return Promise.resolve();
  }
}

/** Milliseconds that a call has at least, and that it has beyond those of a statement. */
const [LEAST_CALL_MS, BEYOND_STATEMENT_MS] = [2500, 700];

/** Milliseconds in which a NATS server greets a client. The client's own default is 20 s. */
const NATS_WITHIN_MS = 2000;

/** Redis where nodes share one, the memory of a lone node, and none where several nodes have no Redis to agree by. */
function cacher(config: Config): BrokerOptions["cacher"] {
  if (config.REDIS_URL !== "") return new RedisCacher(config.REDIS_URL);
  return config.NATS_URL === "" ? "Memory" : null;
}

/**
 * How a node of the cluster behaves, whichever services it runs. Times in milliseconds unless Moleculer wants seconds.
 * @param logger the log that the broker and its services write (core/logger.ts)
 */
export function brokerOptions(config: Config, logger: LoggerConfig | false): BrokerOptions {
  return {
    namespace: config.NAMESPACE,
    // Each node counts what all of them may open (mixins/connection-budget.ts).
    metadata: { connections: connectionsOf(config) },
    nodeID: config.NODE_ID || `${hostname()}-${process.pid}`,
    logger,
    transporter:
      config.NATS_URL === ""
        ? null
        : new NatsTransport({
            ...natsOptions(config.NATS_URL),
            // A server that is frozen takes a connection and never speaks: the next server is tried then.
            timeout: NATS_WITHIN_MS,
            reconnectTimeWait: 250,
            pingInterval: 1000,
            name: config.NODE_ID,
          }),
    serializer: new PacketSerializer(),

    cacher: cacher(config),

    // Moleculer's default waits for ever. A nested call gets the time that its caller has left.
    requestTimeout: Math.max(LEAST_CALL_MS, config.DATABASE_TIMEOUT + BEYOND_STATEMENT_MS),
    // Safe and idempotent actions switch it on: a call to a dead node is retried once on another node. A call that timed
    // out is not: its caller has waited long enough, and the load would double.
    retryPolicy: {
      enabled: false,
      retries: 1,
      delay: 50,
      maxDelay: 50,
      factor: 1,
      check: (error: Error & { retryable?: boolean }) =>
        error.retryable === true && error.name !== "RequestTimeoutError",
    },
    // Seconds. The failure detector finds a dead node sooner when a call waits for it.
    heartbeatInterval: 2,
    heartbeatTimeout: 6,
    // core/metrics.ts measures instead: Moleculer's own metrics cost five times as much (docs/decisions.md).
    metrics: false,
    dependencyInterval: 50,
    // Moleculer's default. A node that stops is no longer called after that; a lone node has nobody to wait for.
    registry: { stopDelay: config.NATS_URL === "" ? 0 : 100 },
    // A node that stops finishes the calls that it has begun.
    tracking: { enabled: true, shutdownTimeout: 10_000 },
    // The last one is the outermost.
    middlewares: [authorize, traceActions, failureDetector, lostMessages, measureActions, boundCalls()],
    // null clears a nullable field; other fields refuse it (core/kit.ts).
    validator: { type: "Fastest", options: VALIDATOR },
    // main.ts handles signals: a node stops more than its broker.
    skipProcessEventRegistration: true,
  } as BrokerOptions;
}
