import { chmod, mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startPostgres } from "../../local/postgres.ts";
import { migrate } from "../../migrations/migrate.ts";
import { servers, TEMPLATE } from "./servers.ts";

/** Starts the Postgres that all test files share, and migrates the database that each of them clones. */
export default async function globalSetup(): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), "taskwire-test-"));
  // Postgres never runs as root: its own user must reach the folder.
  await chmod(dir, 0o755);
  const postgres = await startPostgres({ dir: join(dir, "postgres"), durable: false });
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query(`CREATE DATABASE ${TEMPLATE}`);
  await client.end();
  const template = new URL(postgres.url);
  template.pathname = TEMPLATE;
  await migrate(template.href);

  process.env.TEST_POSTGRES_URL = postgres.url;
  Object.assign(servers, { dir, postgres });
}
