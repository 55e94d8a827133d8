/** Every service in a process of its own, over NATS, Redis and Postgres that end with them. All listen on 127.0.0.1. */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startCluster } from "../local/cluster.ts";
import { startNats } from "../local/nats.ts";
import { freePort } from "../local/ports.ts";
import { startPostgres } from "../local/postgres.ts";
import { startRedis } from "../local/redis.ts";
import { migrate } from "../migrations/migrate.ts";
import { clientOf, type System } from "./system.ts";

export interface BenchCluster extends System {
  /** Of the gateway. */
  port: number;
  redisUrl: string;
  natsUrl: string;
  /** The origins of the two notifiers. */
  notifiers: [string, string];
  /** The process id of a node, by its name in local/cluster.ts. */
  pidOf(node: string): number;
}

/** Postgres reads some settings only when it starts. */
async function startPostgresWith(dir: string, settings: string[]): ReturnType<typeof startPostgres> {
  const first = await startPostgres({ dir, durable: false });
  if (settings.length === 0) return first;
  const client = new pg.Client({ connectionString: first.url });
  await client.connect();
  for (const setting of settings) await client.query(`ALTER SYSTEM SET ${setting}`);
  await client.end();
  await first.stop();
  return startPostgres({ dir, durable: false });
}

/** @param settings of Postgres, such as `track_commit_timestamp = on` */
export async function startBenchCluster(settings: string[] = []): Promise<BenchCluster> {
  const dir = await mkdtemp(join(tmpdir(), "taskwire-bench-"));
  // Postgres never runs as root: its own user must reach the folder.
  await chmod(dir, 0o755);
  const ends: (() => Promise<unknown>)[] = [() => rm(dir, { recursive: true, force: true })];
  const stop = async (): Promise<void> => {
    for (const end of ends.splice(0).reverse()) await end();
  };
  try {
    const postgres = await startPostgresWith(join(dir, "postgres"), settings);
    ends.push(() => postgres.stop());
    await migrate(postgres.url);
    const nats = await startNats();
    ends.push(() => nats.stop());
    const redis = await startRedis();
    ends.push(() => redis.stop());
    const [gateway, first, second] = [await freePort(), await freePort(), await freePort()];
    const { group } = await startCluster(
      { DATABASE_URL: postgres.url, NATS_URL: nats.url, REDIS_URL: redis.url },
      { gateways: [gateway], notifiers: [first, second] },
      {
        out: (node, line) => {
          if (/WARN|ERROR|FATAL/.test(line)) console.error(`${node}: ${line}`);
        },
        env: { NODE_ENV: "test", BCRYPT_COST: "4", RATE_LIMIT: "off", DRAIN_SECONDS: "1" },
      },
    );
    ends.push(() => group.stopAll());
    return {
      ...clientOf(gateway),
      databaseUrl: postgres.url,
      port: gateway,
      redisUrl: redis.url,
      natsUrl: nats.url,
      notifiers: [`http://127.0.0.1:${first}`, `http://127.0.0.1:${second}`],
      pidOf: (node) => group.get(node)?.pid as number,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
