import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { Umzug } from "umzug";

/** The number of the advisory lock: `taskwire` in ASCII, shortened to 48 bits. */
const MIGRATION_LOCK = 0x7461736b7769;

type Migration = (client: pg.Client) => Promise<unknown>;

async function load(path: string): Promise<Migration> {
  if (path.endsWith(".ts")) return ((await import(pathToFileURL(path).href)) as { up: Migration }).up;
  const sql = await readFile(path, "utf8");
  return (client) => client.query(sql);
}

/**
 * Brings the database to the newest schema. Each new `NNNN-name.sql` runs once, in order, in a transaction of its own; so
 * does the `up` of each `NNNN-name.ts`, which does what SQL can't. Then pg-boss' own schema follows. Nodes that start at
 * the same time take turns under an advisory lock. Forward only.
 * @returns the names of the migrations that ran
 */
export async function migrate(databaseUrl: string, onProgress?: (line: string) => void): Promise<string[]> {
  // A connection of its own: the lock belongs to the session, and a pool may give a session to another caller.
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {}); // the statement under way fails with the same error
  await client.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [MIGRATION_LOCK]);
    await client.query(
      "CREATE TABLE IF NOT EXISTS public.migrations (name text PRIMARY KEY, ran_at timestamptz NOT NULL DEFAULT now())",
    );
    const umzug = new Umzug({
      migrations: {
        glob: ["[0-9]*.{sql,ts}", { cwd: import.meta.dirname }],
        resolve: ({ name, path }) => ({
          name,
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
        executed: async () =>
          (await client.query<{ name: string }>("SELECT name FROM public.migrations ORDER BY name")).rows.map(
            ({ name }) => name,
          ),
        // The migration's own transaction logs it, so that no crash comes between the two.
        logMigration: () => Promise.resolve(),
        unlogMigration: () => Promise.reject(new Error("migrations are forward-only")),
      },
      logger: undefined,
    });
    const ran = (await umzug.up()).map(({ name }) => name);
    // Only a migration loads pg-boss.
    const { migrateJobs } = await import("./jobs.ts");
    if (await migrateJobs(client)) ran.push("pg-boss");
    return ran;
  } finally {
    await client.end();
  }
}
