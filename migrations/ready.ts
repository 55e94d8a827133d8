import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { explain } from "../core/explain.ts";

/** Milliseconds between two tries. */
const PAUSE_MS = 500;
/** Refusals that no waiting mends: SQLSTATE classes of credentials and names. */
const FINAL = /^(28|3D|42)/;

/** `host:port/database` of a Postgres URL: what a terminal may show, without user and password. */
export function describeDatabase(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname || "localhost"}:${port || 5432}${pathname === "/" ? "" : pathname}`;
}

interface Options {
  say: (line: string) => void;
  /** Milliseconds that Postgres has to answer; default 10 s, as long as one takes that starts beside us. */
  patienceMs?: number;
  signal?: AbortSignal;
}

/**
 * Waits until Postgres lets us in, and says so when that takes a while.
 * @throws Error with one line that says what to do
 */
export async function databaseAnswers(
  url: string,
  { say, patienceMs = 10_000, signal }: Options,
): Promise<void> {
  const where = describeDatabase(url);
  const deadline = performance.now() + patienceMs;
  for (let attempt = 1; ; attempt++) {
    const client = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: 2000,
      query_timeout: 2000,
    });
    client.on("error", () => {});
    try {
      await client.connect();
      return;
    } catch (error) {
      const final = FINAL.test((error as { code?: string }).code ?? "");
      if (final)
        throw new Error(`Postgres at ${where} refuses: ${explain(error)}. See DATABASE_URL`, {
          cause: error,
        });
      if (performance.now() > deadline)
        throw new Error(
          `Postgres at ${where} can't be reached (${explain(error)}): start it, or set DATABASE_URL to the right one`,
          { cause: error },
        );
      if (attempt === 1)
        say(`Taskwire: waiting up to ${patienceMs / 1000} s for Postgres at ${where} (${explain(error)})`);
    } finally {
      await client.end().catch(() => {});
    }
    await delay(PAUSE_MS, undefined, { ...(signal && { signal }) });
  }
}

/**
 * Whether the database has every migration that this program knows. One that is ahead, since a newer version is being
 * rolled out, will do.
 * @throws Error with one line that says what to do
 */
export async function mustBeMigrated(url: string): Promise<void> {
  const known = (await readdir(import.meta.dirname)).filter((name) => /^\d.*\.(sql|ts)$/.test(name)).sort();
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5000, query_timeout: 5000 });
  client.on("error", () => {});
  await client.connect();
  let missing: string[];
  try {
    const { rows } = await client.query<{ name: string }>("SELECT name FROM public.migrations");
    const ran = new Set(rows.map(({ name }) => name));
    missing = known.filter((name) => !ran.has(name));
  } catch (error) {
    // A role that may not read the list is no reason to refuse: the operator gave it what it needs.
    if ((error as { code?: string }).code === "42501") return;
    if ((error as { code?: string }).code !== "42P01") throw error;
    missing = known;
  } finally {
    await client.end();
  }
  if (missing.length > 0)
    throw new Error(
      `the database ${describeDatabase(url)} lacks ${missing.length} migration${missing.length === 1 ? "" : "s"} (${missing[0]}${missing.length === 1 ? "" : " …"}): run \`npm run migrate\` first`,
    );
}
