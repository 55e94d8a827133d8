import { createAdapter } from "@socket.io/redis-adapter";
import type { Redis } from "ioredis";
import type { CommittedEvent } from "../../core/events.ts";
import type { Log } from "../../core/log.ts";
import { connectRedis, RedisOutage } from "../../mixins/redis.ts";
import type { PushServer } from "./streams.ts";

/** The name under which notifiers hand each other hints. */
const HINTS = "hints";

export interface Link {
  /** Hands events to the other notifiers. They may be lost. */
  share(events: CommittedEvent[]): void;
  close(): void;
}

/** The adapter never looks at what its commands answer, so a rejected one would end the process. */
function quiet(
  client: Redis,
  ...commands: ("publish" | "subscribe" | "psubscribe" | "unsubscribe" | "punsubscribe")[]
) {
  for (const name of commands) {
    const command = (client[name] as (...args: unknown[]) => Promise<unknown>).bind(client);
    Object.assign(client, { [name]: (...args: unknown[]) => command(...args).catch(() => 0) });
  }
  return client;
}

/**
 * Links the notifiers through socket.io's Redis adapter. While Redis is away nothing waits in memory and nothing
 * fails: what is not shared is read from the log by the others' next beat.
 */
export function linkNotifiers(
  redisUrl: string,
  namespace: string,
  io: PushServer,
  log: Log,
  onHints: (events: CommittedEvent[]) => void,
): Link {
  const outage = new RedisOutage(log, {
    away: "notifiers go by the log alone",
    back: "notifiers share events again",
  });
  const publisher = connectRedis(redisUrl, outage);
  // Subscriptions wait for the connection and are made again after each loss; there is a handful of them.
  const waiting = { enableOfflineQueue: true, maxRetriesPerRequest: null };
  const subscriber = connectRedis(redisUrl, outage, waiting).on("ready", () => outage.ended());
  quiet(publisher, "publish");
  quiet(subscriber, "subscribe", "psubscribe", "unsubscribe", "punsubscribe");
  io.adapter(createAdapter(publisher, subscriber, { key: namespace }));

  // serverSideEmit reaches every notifier but this one.
  const server = io as unknown as {
    on(event: string, listener: (events: CommittedEvent[]) => void): void;
    serverSideEmit(event: string, events: CommittedEvent[]): void;
  };
  server.on(HINTS, onHints);
  return {
    share: (events) => server.serverSideEmit(HINTS, events),
    close() {
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}
