import { readdir } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { explain } from "../core/explain.ts";

/** The pause between two attempts to connect. */
const PAUSE_MS = 500;
/** SQLSTATE classes of refusals that last: wrong credentials and names. */
const LASTING_REFUSAL = /^(28|3D|42)/;

/** `host:port/database` of a Postgres URL, without user and password: safe on a terminal. */
export function describeDatabase(url: string): string {
  const { hostname, port, pathname } = new URL(url);
  return `${hostname || "localhost"}:${port || 5432}${pathname === "/" ? "" : pathname}`;
}

interface Options {
  say: (line: string) => void;
  /** How long Postgres has to answer; by default 10 s, enough for a Postgres that starts at the same time. */
  patienceMs?: number;
  signal?: AbortSignal;
}

/**
 * Waits until Postgres accepts a connection, and says so when that takes a while.
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
      const final = LASTING_REFUSAL.test((error as { code?: string }).code ?? "");
      if (final)
        throw new Error(
          `Postgres at ${where} refuses the connection: ${explain(error)}. Correct DATABASE_URL`,
          {
            cause: error,
          },
        );
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
 * The database must have every migration that this program knows. A database that is ahead, while a newer version rolls
 * out, is fine.
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
    // A role without the right to read the list may start: the operator gave it the rights that it needs.
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
