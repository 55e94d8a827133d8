import { join } from "node:path";
import pg from "pg";
import { migrate } from "../migrations/migrate.ts";
import { startPostgres } from "./postgres.ts";

/** `taskwire`'s own number, held as long as a process uses the embedded database. */
const IN_USE = 0x74617377;
const DATABASE = "taskwire";

export interface EmbeddedDatabase {
  url: string;
  dir: string;
  /** Lets the database go, and ends it. */
  stop(): Promise<void>;
}

/** Another process has the embedded database. `who` is what that process said of itself. */
export class InUseError extends Error {
  constructor(who: string) {
    super(who);
    this.name = "InUseError";
  }
}

/**
 * The database of `npm start`: a Postgres below `dataDir`, migrated. One process at a time has it, by an advisory lock
 * that Postgres itself lets go when that process dies, however it dies.
 * @param who told to a second process that tries
 * @throws InUseError
 */
export async function startEmbedded(
  dataDir: string,
  who: string,
  onProgress: (line: string) => void,
): Promise<EmbeddedDatabase> {
  const postgres = await startPostgres({ dir: join(dataDir, "postgres"), durable: true, onProgress });
  const lock = new pg.Client({ connectionString: postgres.url, application_name: who });
  lock.on("error", () => {});
  await lock.connect();
  try {
    const { rows } = await lock.query<{ mine: boolean }>("SELECT pg_try_advisory_lock($1) AS mine", [IN_USE]);
    if (rows[0]?.mine !== true) throw new InUseError(await holder(lock));
    const { rowCount } = await lock.query("SELECT FROM pg_database WHERE datname = $1", [DATABASE]);
    if (rowCount === 0) await lock.query(`CREATE DATABASE ${DATABASE}`);
  } catch (error) {
    await lock.end();
    throw error;
  }
  const url = new URL(postgres.url);
  url.pathname = DATABASE;
  await migrate(url.href, onProgress);
  return {
    url: url.href,
    dir: postgres.dir,
    async stop() {
      await lock.end();
      await postgres.stop();
    },
  };
}

async function holder(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ who: string }>(
    `SELECT a.application_name AS who FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.objid = $1 AND l.granted`,
    [IN_USE],
  );
  return rows[0]?.who ?? "another process";
}
