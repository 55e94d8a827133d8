/** Who follows the streams of a run, and how. */
import { type CredentialKind, Credentials } from "./credentials.ts";
import { EventStreamSubscriber } from "./event-stream-subscriber.ts";
import type { Random } from "./random.ts";
import type { Signal, Transport } from "./recording.ts";
import { SocketSubscriber } from "./socket-subscriber.ts";
import { Recorder, type Subscriber } from "./subscriber.ts";
import { SyncSubscriber } from "./sync-subscriber.ts";
import type { World } from "./world.ts";

/** The transports of twenty subscribers, in turn. A user has fewer than 20 of the last two: more would be refused. */
const TRANSPORTS: Transport[] = [
  "websocket",
  "polling",
  "websocket",
  "sse",
  "websocket",
  "sync",
  "websocket",
  "polling",
  "websocket",
  "sse",
  "websocket",
  "polling",
  "sync",
  "websocket",
  "websocket",
  "polling",
  "sse",
  "websocket",
  "sync",
  "websocket",
];
/** Of a rollout: sockets alone. */
export const SOCKETS: readonly Transport[] = ["websocket", "websocket", "websocket", "polling"];
/** How subscribers prove who they are, in turn; so many let their tokens run out or end. */
const CREDENTIALS: CredentialKind[] = [
  "renewed",
  "renewed",
  "expiring",
  "renewed",
  "personal",
  "renewed",
  "renewed",
];
/** Every so many read streams from their beginning. */
const WHOLE = 3;

/** @param urls the balancers of notifiers and of gateways */
export function makeSubscribers(
  world: World,
  count: number,
  urls: { sockets: string; api: string },
  random: Random,
  signals: Signal[],
  transports: readonly Transport[] = TRANSPORTS,
): Subscriber[] {
  const { users } = world;
  return Array.from({ length: count }, (_, n) => {
    const user = users[n % users.length];
    const transport = transports[n % transports.length];
    const kind = CREDENTIALS[n % CREDENTIALS.length];
    if (user === undefined || transport === undefined || kind === undefined)
      throw new Error("there are no users");
    const name = `s${n}-${transport}`;
    const recorder = new Recorder(name, transport, signals);
    const mine = world.projectsOf(user).map(({ id }) => id);
    const isLimited = kind === "personal" && mine.length > 0 && random.next() < 0.5;
    const projects = isLimited ? [random.pick(mine)] : null;
    const credentials = new Credentials({ user, kind, projects }, world, random.fork(), recorder);
    const own = isLimited ? [] : [`user:${user.id}`];
    const streams = [...own, ...(projects ?? mine).map((id) => `project:${id}`)];
    const isWhole = n % WHOLE === 0;
    const common = { name, credentials, recorder };
    if (transport === "sse") {
      const stream = random.pick(streams);
      return new EventStreamSubscriber(stream, { ...common, url: urls.api, whole: isWhole ? [stream] : [] });
    }
    const whole = isWhole ? streams : [];
    if (transport === "sync") return new SyncSubscriber({ ...common, url: urls.api, whole });
    // Of 127.0.0.0/8: the balancer of notifiers keeps each address at one node.
    const address = `127.1.${Math.floor(n / 250)}.${(n % 250) + 1}`;
    return new SocketSubscriber({ ...common, url: urls.sockets, transport, address, whole });
  });
}
