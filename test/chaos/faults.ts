/** What a run breaks, and how it is mended. */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "./random.ts";
import type { FaultSpan } from "./recording.ts";
import type { Subscriber } from "./subscriber.ts";
import { type Backend, NODE_KINDS, type Topology } from "./topology.ts";

/** One fault at one place. */
export interface Fault {
  target: string;
  /** What has to happen before, while all is well. */
  prepare?(): Promise<void>;
  begin(): Promise<void> | void;
  end(): Promise<void> | void;
}

export interface FaultKind extends Pick<FaultSpan, "isBounded" | "isBoundedOverHttp" | "rewritesLog"> {
  /** Faults of one group exclude each other. */
  group: string;
  /** How often the schedule picks it, beside others. */
  weight: number;
  /** Postgres is away until the fault has begun. */
  isOutage?: boolean;
  make(site: Site): Fault;
}

/** What faults act on. */
export interface Site {
  topology: Topology;
  subscribers: Subscriber[];
  random: Random;
  /** Keeps the log as it is before an older one takes its place. */
  keepHistory: () => Promise<void>;
  /** Forgets all but the last events of each stream, as the job of retention does with old ones. */
  forgetLog: () => Promise<void>;
}

/** The share of subscribers that a fault of readers strikes. */
const SLEEPERS = 0.2;
/** Milliseconds that a standby is behind when its primary dies. */
const BEHIND_MS = 300;
/** The share that is away when Postgres goes back, and by how many milliseconds it does. */
const RESTORE_SLEEPERS = 0.45;
const GOES_BACK_MS = [3000, 10_000] as const;
/** Milliseconds before that in which those who left late miss something. */
const UNSEEN_MS = 1000;
const NOTHING = (): void => {};

const nodeFault = (
  weight: number,
  kind: string,
  begin: (topology: Topology, node: string) => Promise<void> | void,
  end: (topology: Topology, node: string) => Promise<void> | void,
): FaultKind => ({
  group: kind,
  weight,
  // A frozen notifier answers nobody; the death of any node, or another's sleep, delays no frame for long.
  isBounded: kind !== "notifier" || begin !== freeze,
  isBoundedOverHttp: !["notifier", "gateway"].includes(kind) || begin !== freeze,
  make: ({ topology, random }) => {
    const target = `${kind}-${random.whole(1, 2)}`;
    return { target, begin: () => begin(topology, target), end: () => end(topology, target) };
  },
});

const freeze = (topology: Topology, node: string): void => topology.freeze(node);

const networkFault = (backend: Backend, state: "cut" | "stalled" | "one_way"): FaultKind => ({
  group: backend,
  weight: 1,
  isBounded: backend !== "postgres",
  // Gateways reach notifiers over NATS.
  isBoundedOverHttp: backend === "redis",
  make: ({ topology, random }) => {
    // All nodes, or one of them: then the others disagree with it.
    const node = random.next() < 0.5 ? undefined : random.pick([...topology.nodes.keys()]);
    return {
      target: node ?? "all nodes",
      begin: () => topology.setNetwork(backend, state, node),
      end: () => topology.setNetwork(backend, "open", node),
    };
  },
});

/** The death of one server of a broker. */
const brokerKilled = (broker: "nats" | "redis"): FaultKind => ({
  group: broker,
  weight: 1,
  isBounded: true,
  make({ topology, random }) {
    const servers = [topology[broker]].flat();
    const server = random.pick(servers);
    const target = servers.length === 1 ? broker : `${broker}-${servers.indexOf(server) + 1}`;
    return { target, begin: () => server.kill(), end: () => server.restart() };
  },
});

const postgresFault = (
  begin: (site: Site) => Promise<void>,
  end: (site: Site) => Promise<void> | void = NOTHING,
  prepare: (site: Site) => Promise<void> = async () => {},
): FaultKind => ({
  group: "postgres",
  weight: 1,
  isBounded: false,
  isOutage: true,
  make: (site) => ({
    target: "postgres",
    prepare: () => prepare(site),
    begin: () => begin(site),
    end: () => end(site),
  }),
});

/** Runs while no node reaches Postgres, so that nothing commits meanwhile. */
async function apart({ topology }: Site, work: () => Promise<void>): Promise<void> {
  topology.setNetwork("postgres", "cut");
  try {
    await work();
  } finally {
    topology.setNetwork("postgres", "open");
  }
}

/**
 * Postgres goes back by some seconds. A third of the sleepers left before the moment that it goes back to, so that the
 * restored log has their positions. A third left after it. A third left after it and comes back while the database is away.
 */
const restored: FaultKind = {
  group: "postgres",
  weight: 1,
  isBounded: false,
  isOutage: true,
  rewritesLog: true,
  make(site) {
    const { topology, subscribers, random, keepHistory } = site;
    const groups: [Subscriber[], Subscriber[], Subscriber[]] = [[], [], []];
    for (const one of subscribers)
      if (random.next() < RESTORE_SLEEPERS) groups[random.whole(0, groups.length - 1)]?.push(one);
    const [early, late, hasty] = groups;
    const goesBackMs = random.whole(...GOES_BACK_MS);
    return {
      target: `postgres, ${groups.flat().length} away`,
      async prepare() {
        early.forEach((one) => one.leave());
        await topology.postgres.backUp();
        await delay(goesBackMs);
        [...late, ...hasty].forEach((one) => one.leave());
        // What happens from here on, none of them has seen.
        await delay(UNSEEN_MS);
      },
      begin: () =>
        apart(site, async () => {
          hasty.forEach((one) => one.comeBack());
          await keepHistory();
          await topology.postgres.restore();
        }),
      async end() {
        await topology.postgres.addStandby();
        [...early, ...late].forEach((one) => one.comeBack());
      },
    };
  },
};

const named = (kinds: [string, FaultKind][]): [string, FaultKind][] => kinds;

export const FAULTS: Readonly<Record<string, FaultKind>> = Object.fromEntries([
  ...NODE_KINDS.flatMap((kind) =>
    named([
      [
        `${kind}-killed`,
        nodeFault(
          0.5,
          kind,
          (t, node) => t.endNode(node, "SIGKILL"),
          (t, node) => t.startNode(node),
        ),
      ],
      [`${kind}-frozen`, nodeFault(0.5, kind, freeze, (t, node) => t.thaw(node))],
      [
        `${kind}-restarted`,
        nodeFault(
          0.5,
          kind,
          (t, node) => t.endNode(node, "SIGTERM"),
          (t, node) => t.startNode(node),
        ),
      ],
    ]),
  ),
  ...(["nats", "redis", "postgres"] as const).flatMap((backend) =>
    named([
      [`${backend}-cut`, networkFault(backend, "cut")],
      [`${backend}-stalled`, networkFault(backend, "stalled")],
      [`${backend}-one-way`, networkFault(backend, "one_way")],
    ]),
  ),
  ["nats-killed", brokerKilled("nats")],
  ["redis-killed", brokerKilled("redis")],
  [
    "redis-unsubscribed",
    {
      group: "redis",
      weight: 1,
      isBounded: true,
      make: ({ topology }: Site) => ({
        target: "redis",
        begin: () => topology.dropSubscriptions(),
        end: NOTHING,
      }),
    },
  ],
  [
    "log-forgotten",
    {
      group: "readers",
      weight: 1,
      isBounded: true,
      make({ subscribers, random, forgetLog }: Site): Fault {
        const away = subscribers.filter(() => random.next() < SLEEPERS);
        return {
          target: `${away.length} subscribers away`,
          begin: () => away.forEach((one) => one.leave()),
          async end() {
            await forgetLog();
            away.forEach((one) => one.comeBack());
          },
        };
      },
    },
  ],
  ["postgres-restarted", postgresFault(({ topology }) => topology.postgres.restart("SIGINT"))],
  ["postgres-killed", postgresFault(({ topology }) => topology.postgres.restart("SIGKILL"))],
  [
    "postgres-failover",
    postgresFault(
      ({ topology }) => topology.postgres.failover(),
      ({ topology }) => topology.postgres.addStandby(),
      async ({ topology }) => {
        topology.postgres.stallStandby();
        await delay(BEHIND_MS);
      },
    ),
  ],
  ["postgres-restored", restored],
  [
    "slow-readers",
    {
      group: "readers",
      weight: 1,
      isBounded: false,
      make({ subscribers, random }: Site): Fault {
        const slow = subscribers.filter(() => random.next() < SLEEPERS);
        return {
          target: `${slow.length} subscribers`,
          begin: () => slow.forEach((one) => one.pause()),
          end: () => slow.forEach((one) => one.resume()),
        };
      },
    },
  ],
  [
    "mass-reconnect",
    {
      group: "readers",
      weight: 1,
      isBounded: true,
      make: ({ topology }: Site) => ({
        target: "all subscribers",
        begin() {
          topology.sockets.breakAll();
          topology.streams.breakAll();
        },
        end: NOTHING,
      }),
    },
  ],
  [
    "rolling-restart",
    {
      group: "all nodes",
      weight: 0.3,
      isBounded: true,
      make: ({ topology }: Site) => ({
        target: "all nodes",
        async begin() {
          for (const node of topology.nodes.keys()) {
            await topology.endNode(node, "SIGTERM");
            await topology.startNode(node);
          }
        },
        end: NOTHING,
      }),
    },
  ],
]);
