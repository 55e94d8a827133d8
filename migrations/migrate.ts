import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { Umzug } from "umzug";
import { type Plan, planOf } from "./plan.ts";

/** The number of the advisory lock: `taskwire` in ASCII, shortened to 48 bits. */
const MIGRATION_LOCK = 0x7461736b7769;

type Migration = (client: pg.Client) => Promise<unknown>;

async function load(path: string): Promise<Migration> {
  if (path.endsWith(".ts")) return ((await import(pathToFileURL(path).href)) as { up: Migration }).up;
  const sql = await readFile(path, "utf8");
  return (client) => client.query(sql);
}

/** Names of the migrations that the database has; none where it has not even their table. */
async function executed(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ exists: boolean }>(
    "SELECT to_regclass('public.migrations') IS NOT NULL AS exists",
  );
  if (rows[0]?.exists !== true) return [];
  const ran = await client.query<{ name: string }>("SELECT name FROM public.migrations ORDER BY name");
  return ran.rows.map(({ name }) => name);
}

const umzugOn = (client: pg.Client, onProgress?: (line: string) => void): Umzug =>
  new Umzug({
    migrations: {
      glob: ["[0-9]*.{sql,ts}", { cwd: import.meta.dirname }],
      resolve: ({ name, path }) => ({
        name,
        path,
        up: async () => {
          onProgress?.(`migrating: ${name}`);
          const run = await load(path as string);
          await client.query("BEGIN");
          await run(client);
          await client.query("INSERT INTO public.migrations (name) VALUES ($1)", [name]);
          await client.query("COMMIT");
        },
      }),
    },
    storage: {
      executed: () => executed(client),
      // The migration's own transaction logs it, so that no crash comes between the two.
      logMigration: () => Promise.resolve(),
      unlogMigration: () => Promise.reject(new Error("migrations are forward-only")),
    },
    logger: undefined,
  });

async function connected<Result>(
  databaseUrl: string,
  work: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  // A connection of its own: the lock belongs to the session, and a pool may give a session to another caller.
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {}); // the statement under way fails with the same error
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function pendingOf(client: pg.Client): Promise<Plan> {
  const files = await umzugOn(client).pending();
  const steps = await Promise.all(
    files.map(async ({ name, path }) => ({ name, text: await readFile(path as string, "utf8") })),
  );
  // Only a migration loads pg-boss.
  const { jobsMigration } = await import("./jobs.ts");
  const jobs = await jobsMigration(client);
  return planOf(jobs === null ? steps : [...steps, { name: "pg-boss", text: jobs }]);
}

/** What `migrate` would run on this database now. Changes nothing. */
export const planMigrations = (databaseUrl: string): Promise<Plan> => connected(databaseUrl, pendingOf);

/**
 * Brings the database to the newest schema. Each new `NNNN-name.sql` runs once, in order, in a transaction of its own; so
 * does the `up` of each `NNNN-name.ts`, which does what SQL can't. Then pg-boss' own schema follows. Nodes that start at
 * the same time take turns under an advisory lock. Forward only.
 * @param review sees what is about to run, under the lock, and throws to prevent it
 * @returns the names of the migrations that ran
 */
export const migrate = (
  databaseUrl: string,
  onProgress?: (line: string) => void,
  review: (plan: Plan) => void = () => {},
): Promise<string[]> =>
  connected(databaseUrl, async (client) => {
    await client.query("SELECT pg_advisory_lock($1)", [MIGRATION_LOCK]);
    review(await pendingOf(client));
    await client.query(
      "CREATE TABLE IF NOT EXISTS public.migrations (name text PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())",
    );
    const ran = (await umzugOn(client, onProgress).up()).map(({ name }) => name);
    const { jobsMigration } = await import("./jobs.ts");
    const jobs = await jobsMigration(client);
    if (jobs === null) return ran;
    await client.query(jobs);
    return [...ran, "pg-boss"];
  });
