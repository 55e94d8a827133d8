import pg from "pg";
import type { Config } from "../../core/config.ts";
import { newId } from "../../core/ids.ts";
import type { Wire } from "./answer.ts";
import { TEMPLATE } from "./servers.ts";

/** A migrated database for one test file alone: a clone of the template, which takes some 30 ms. */
export async function freshDatabase(): Promise<string> {
  const server = process.env.TEST_POSTGRES_URL as string;
  const name = `test_${newId().replaceAll("-", "")}`;
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(`CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  } finally {
    await client.end();
  }
  const url = new URL(server);
  url.pathname = name;
  return url.href;
}

export async function openDatabase({ config }: { config: Pick<Config, "DATABASE_URL"> }): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: config.DATABASE_URL });
  await client.connect();
  return client;
}

export interface LogRow {
  seq: number;
  type: string;
  data: Wire;
}

/** A stream as the log holds it. */
export async function readStream(db: pg.Client, stream: string): Promise<LogRow[]> {
  const { rows } = await db.query<LogRow>(
    "SELECT seq::int, type, data FROM events.log WHERE stream = $1 ORDER BY seq",
    [stream],
  );
  return rows;
}
