import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startNats } from "../../local/nats.ts";
import { startPostgres } from "../../local/postgres.ts";
import { startRedis } from "../../local/redis.ts";
import { migrate } from "../../migrations/migrate.ts";
import { servers, TEMPLATE } from "./servers.ts";

/** Starts what every test file shares, and migrates the database that each of them clones. */
export default async function globalSetup(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "taskwire-test-"));
  const [postgres, nats, redis] = await Promise.all([
    startPostgres({ dir: join(dir, "postgres"), durable: false }),
    startNats(),
    startRedis(),
  ]);
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  const template = new URL(postgres.url);
  template.pathname = TEMPLATE;
  await migrate(template.href);

  process.env.TEST_POSTGRES_URL = postgres.url;
  process.env.TEST_NATS_URL = nats.url;
  process.env.TEST_REDIS_URL = redis.url;
  Object.assign(servers, { dir, postgres, nats, redis });
}
