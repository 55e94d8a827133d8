import { join } from "node:path";
import pg from "pg";
import { migrate } from "../migrations/migrate.ts";
import { startPostgres } from "./postgres.ts";

/** The number of the advisory lock that a process holds while it uses the embedded database. */
const IN_USE_LOCK = 0x74617377;
const DATABASE = "taskwire";

export interface EmbeddedDatabase {
  url: string;
  dir: string;
  /** Releases the lock, and ends Postgres. */
  stop(): Promise<void>;
}

/** Another process uses the embedded database; `who` is that process's own description. */
export class InUseError extends Error {
  constructor(who: string) {
    super(who);
    this.name = "InUseError";
  }
}

/**
 * The database of `npm start`: a migrated Postgres below `dataDir`. One process at a time uses it: Postgres releases the
 * advisory lock when that process dies, however it dies. A start that fails or is aborted ends the Postgres that it started.
 * @param who this process's description for a second process that tries
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
    const { rows } = await lock.query<{ mine: boolean }>("SELECT pg_try_advisory_lock($1) AS mine", [
      IN_USE_LOCK,
    ]);
    mine = rows[0]?.mine === true;
    if (!mine) throw new InUseError(await holder(lock));
    const { rowCount } = await lock.query("SELECT FROM pg_database WHERE datname = $1", [DATABASE]);
    if (rowCount === 0) await lock.query(`CREATE DATABASE ${DATABASE}`);
    await unlessAborted(migrate(url.href, onProgress), signal);
  } catch (error) {
    await lock.end().catch(() => {});
    // The holder of the lock is the server's only user; an aborted migration ends with the server.
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

/** The result of `work`, unless the signal comes first. */
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
    [IN_USE_LOCK],
  );
  return rows[0]?.who ?? "another process";
}
