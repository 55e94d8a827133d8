import { createAdapter } from "@socket.io/redis-adapter";
import type { Redis } from "ioredis";
import type { Log } from "../../core/log.ts";
import { type Origin, originHere } from "../../core/trace.ts";
import { connectRedis, RedisOutage } from "../../mixins/redis.ts";
import type { CommittedHint } from "../../mixins/event-log.ts";
import type { PushServer } from "./sockets.ts";

/** The name of the message in which notifiers share hints, and milliseconds in which they are gathered for one. */
const [SHARED, SHARE_WITHIN_MS] = ["shared-hints", 5];

/** A hint, and where its commit was asked for. */
type Shared = [hint: CommittedHint, origin: Origin | null];

export interface RedisAdapter {
  /**
   * Sends a hint to the other notifiers, a moment later: most of them have it from the writer by then, and what they do twice
   * must not hold up what they do first. It may be lost.
   */
  share(hint: CommittedHint): void;
  close(): void;
}

/** The adapter ignores what its commands return, and an unhandled rejection would end the process. */
function ignoreRejections(
  client: Redis,
  ...commands: ("publish" | "subscribe" | "psubscribe" | "unsubscribe" | "punsubscribe")[]
): void {
  for (const name of commands) {
    const command = (client[name] as (...args: unknown[]) => Promise<unknown>).bind(client);
    Object.assign(client, { [name]: (...args: unknown[]) => command(...args).catch(() => 0) });
  }
}

/**
 * Whether this notifier is the one that shares a hint. Hints take two roads: the writer broadcasts each to every notifier,
 * and one of the notifiers hands it to the others through Redis. So neither a frozen notifier nor a road that is away
 * delays the others; what comes twice is dropped by number.
 * @param listeners ids of the nodes whose notifiers are known to listen to hints
 */
export function isSharer(
  nodeId: string,
  listeners: readonly string[],
  { first }: Pick<CommittedHint, "first">,
): boolean {
  // A notifier that knows of no other has nobody to share with: its own message would come back to it.
  if (listeners.length < 2) return false;
  const nodes = listeners.toSorted();
  // The last digits of a UUIDv7 are random.
  return nodes[Number.parseInt(first.slice(-6), 16) % nodes.length] === nodeId;
}

/**
 * Connects the notifiers through socket.io's Redis adapter. While Redis is away nothing queues in memory and nothing
 * fails: the other notifiers read the events from the log at their next beat.
 */
export function useRedisAdapter(
  redisUrl: string,
  namespace: string,
  io: PushServer,
  log: Log,
  onShared: (hint: CommittedHint, origin: Origin | null) => void,
): RedisAdapter {
  const outage = new RedisOutage(log, {
    away: "notifiers go by the log alone",
    back: "notifiers share events again",
  });
  const publisher = connectRedis(redisUrl, outage);
  // The few subscriptions wait for the connection, and are repeated after each loss.
  const waiting = { enableOfflineQueue: true, maxRetriesPerRequest: null };
  const subscriber = connectRedis(redisUrl, outage, waiting).on("ready", () => outage.ended());
  ignoreRejections(publisher, "publish");
  ignoreRejections(subscriber, "subscribe", "psubscribe", "unsubscribe", "punsubscribe");
  io.adapter(createAdapter(publisher, subscriber, { key: namespace }));

  // serverSideEmit reaches every notifier but this one.
  const server = io as unknown as {
    on(event: string, listener: (hints: Shared[]) => void): void;
    serverSideEmit(event: string, hints: Shared[]): void;
  };
  server.on(SHARED, (hints) => hints.forEach(([hint, origin]) => onShared(hint, origin)));
  let gathered: Shared[] = [];
  let timer: NodeJS.Timeout | undefined;
  const send = (): void => {
    server.serverSideEmit(SHARED, gathered);
    gathered = [];
  };
  return {
    share(hint) {
      if (gathered.push([hint, originHere()]) === 1) timer = setTimeout(send, SHARE_WITHIN_MS);
    },
    close() {
      clearTimeout(timer);
      publisher.disconnect();
      subscriber.disconnect();
    },
  };
}
