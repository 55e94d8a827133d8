/** A cluster of processes whose Postgres, NATS and Redis can be stopped and started again. All listen on 127.0.0.1. */
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startCluster } from "../../local/cluster.ts";
import { startNats } from "../../local/nats.ts";
import { freePort } from "../../local/ports.ts";
import { startPostgres } from "../../local/postgres.ts";
import type { Starting } from "../../local/program.ts";
import { startRedis } from "../../local/redis.ts";
import { migrate } from "../../migrations/migrate.ts";

/** Something that all nodes need, and that can go away. */
export interface Dependency {
  name: "Postgres" | "NATS" | "Redis";
  stop(): Promise<void>;
  /** Starts it again at the same address. */
  start(): Promise<void>;
}

export interface WatchedSystem {
  /** The gateway's origin. */
  origin: string;
  /** The notifiers' origins. */
  notifiers: string[];
  /** Where each node serves its metrics, `host:port` by the node's name. */
  targets: Record<string, string>;
  /** What they want to be asked with. */
  metricsToken: string;
  dependencies: Dependency[];
  /** The process ids of the nodes, by name: one that started again has another. */
  pids(): Record<string, number | undefined>;
}

/** @returns the first of `count` free ports in a row */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = await freePort();
    let free = 1;
    while (free < count && (await freePort(first + free)) === first + free) free++;
    if (free === count) return first;
  }
}

/** The nodes of local/cluster.ts have eight processes. */
const NODES = 8;

/** Starts it. Its parts are handed to `own`, so that they end with the program. */
export async function startWatchedSystem({ say, own, signal }: Starting): Promise<WatchedSystem> {
  const dir = await mkdtemp(join(tmpdir(), "taskwire-monitoring-"));
  own({ name: "the folder", stop: () => rm(dir, { recursive: true, force: true }) });
  // Postgres never runs as root: its own user must reach the folder.
  await chmod(dir, 0o755);
  const startDatabase = () => startPostgres({ dir: join(dir, "postgres"), durable: false, signal });
  let postgres = await startDatabase();
  own({ name: "Postgres", stop: () => postgres.stop() });
  await migrate(postgres.url);
  const nats = await startNats();
  own({ name: "NATS", stop: () => nats.stop() });
  const redis = await startRedis();
  own({ name: "Redis", stop: () => redis.stop() });

  const [gateway, first, second] = [await freePort(), await freePort(), await freePort()];
  const metricsToken = randomBytes(32).toString("base64url");
  const { group, nodes } = await startCluster(
    { DATABASE_URL: postgres.url, NATS_URL: nats.url, REDIS_URL: redis.url },
    { gateways: [gateway], notifiers: [first, second], ops: await freePorts(NODES) },
    {
      // Outages are what this is about: their lines would hide what the check says.
      out: (node, line) => {
        if (line.includes("FATAL")) say(`${node}: ${line}`);
      },
      env: {
        NODE_ENV: "test",
        BCRYPT_COST: "4",
        METRICS_TOKEN: metricsToken,
        DRAIN_SECONDS: "0",
        LOG_JSON: "true",
        LOG_LEVEL: "warn",
        // Counted, as in production, with room for a load from one address.
        RATE_LIMIT_DEFAULT: "1000000/60",
        RATE_LIMIT_AUTH: "1000000/60",
      },
      own: (started) =>
        own({ name: "the nodes", stop: () => started.stopAll(), force: () => started.killAll() }),
      signal,
    },
  );
  return {
    origin: `http://127.0.0.1:${gateway}`,
    notifiers: [first, second].map((port) => `http://127.0.0.1:${port}`),
    targets: Object.fromEntries(
      Object.entries(nodes).map(([name, { OPS_PORT }]) => [name, `127.0.0.1:${OPS_PORT}`]),
    ),
    metricsToken,
    dependencies: [
      {
        name: "Postgres",
        stop: () => postgres.stop(),
        async start() {
          const { url } = postgres;
          postgres = await startDatabase();
          if (postgres.url !== url) throw new Error("Postgres came back at another address");
        },
      },
      { name: "NATS", stop: () => nats.stop(), start: () => nats.restart() },
      { name: "Redis", stop: () => redis.stop(), start: () => redis.restart() },
    ],
    pids: () => Object.fromEntries(group.list().map(({ name, pid }) => [name, pid])),
  };
}
