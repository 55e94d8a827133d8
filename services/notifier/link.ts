import { createAdapter } from "@socket.io/redis-adapter";
import { Redis } from "ioredis";
import type { LoggedEvent } from "../../core/events.ts";
import type { PushServer } from "./streams.ts";

/** The name under which notifiers hand each other hints. */
const HINTS = "hints";

interface Log {
  warn(...args: unknown[]): void;
  info(...args: unknown[]): void;
}

export interface Link {
  /** Hands events to the other notifiers. They may be lost. */
  share(events: LoggedEvent[]): void;
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
  onHints: (events: LoggedEvent[]) => void,
): Link {
  const options = { retryStrategy: (attempt: number) => Math.min(attempt * 100, 1000) };
  let away = false;
  const onError = (error: Error) => {
    if (!away) log.warn(`Redis is away, notifiers go by the log alone: ${error.message}`);
    away = true;
  };
  const publisher = new Redis(redisUrl, { ...options, enableOfflineQueue: false, maxRetriesPerRequest: 0 });
  // Subscriptions wait for the connection and are made again after each loss; there is a handful of them.
  const subscriber = new Redis(redisUrl, { ...options, maxRetriesPerRequest: null });
  publisher.on("error", onError);
  subscriber.on("error", onError);
  subscriber.on("ready", () => {
    if (away) log.info("Redis is back");
    away = false;
  });
  quiet(publisher, "publish");
  quiet(subscriber, "subscribe", "psubscribe", "unsubscribe", "punsubscribe");
  io.adapter(createAdapter(publisher, subscriber, { key: namespace }));

  // serverSideEmit reaches every notifier but this one.
  const server = io as unknown as {
    on(event: string, listener: (events: LoggedEvent[]) => void): void;
    serverSideEmit(event: string, events: LoggedEvent[]): void;
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
