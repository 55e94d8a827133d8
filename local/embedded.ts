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
 * A start that fails or is aborted leaves no Postgres behind that it started.
 * @param who told to a second process that tries
 * @param signal aborts the start, which then throws
 * @throws InUseError
 */
export async function startEmbedded(
  dataDir: string,
  who: string,
  onProgress: (line: string) => void,
  signal: AbortSignal = new AbortController().signal,
): Promise<EmbeddedDatabase> {
  const postgres = await startPostgres({ dir: join(dataDir, "postgres"), durable: true, onProgress, signal });
  const lock = new pg.Client({ connectionString: postgres.url, application_name: who });
  lock.on("error", () => {});
  const url = new URL(postgres.url);
  url.pathname = DATABASE;
  let mine = false;
  try {
    await lock.connect();
    const { rows } = await lock.query<{ mine: boolean }>("SELECT pg_try_advisory_lock($1) AS mine", [IN_USE]);
    mine = rows[0]?.mine === true;
    if (!mine) throw new InUseError(await holder(lock));
    const { rowCount } = await lock.query("SELECT FROM pg_database WHERE datname = $1", [DATABASE]);
    if (rowCount === 0) await lock.query(`CREATE DATABASE ${DATABASE}`);
    await unlessAborted(migrate(url.href, onProgress), signal);
  } catch (error) {
    await lock.end().catch(() => {});
    // Under the lock nobody else uses the server; a migration that was aborted ends with it.
    await (mine ? postgres.stop() : postgres.release());
    throw error;
  }
  return {
    url: url.href,
    dir: postgres.dir,
    async stop() {
      await lock.end();
      await postgres.stop();
    },
  };
}

/** What `work` gives, unless the signal comes first. */
function unlessAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = (): void => reject(signal.reason as Error);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort);
  return Promise.race([work, promise]).finally(() => signal.removeEventListener("abort", abort));
}

async function holder(client: pg.Client): Promise<string> {
  const { rows } = await client.query<{ who: string }>(
    `SELECT a.application_name AS who FROM pg_locks l JOIN pg_stat_activity a USING (pid)
     WHERE l.locktype = 'advisory' AND l.objid = $1 AND l.granted`,
    [IN_USE],
  );
  return rows[0]?.who ?? "another process";
}
