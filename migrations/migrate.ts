import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";
import pg from "pg";
import { Umzug } from "umzug";

/** Any number will do, as long as nobody else takes it: `taskwire` in ASCII, shortened to 48 bits. */
const LOCK = 0x7461736b7769;

type Migration = (client: pg.Client) => Promise<unknown>;

async function load(path: string): Promise<Migration> {
  if (path.endsWith(".ts")) return ((await import(pathToFileURL(path).href)) as { up: Migration }).up;
  const sql = await readFile(path, "utf8");
  return (client) => client.query(sql);
}

/**
 * Brings the database to the newest schema: each `NNNN-name.sql` here that it has not seen runs once, in order,
 * in a transaction of its own, and so does each `NNNN-name.ts`, by its `up`, where SQL can't say it; then pg-boss' own
 * schema. Nodes that start at the same time take turns under an advisory lock. Forward only.
 * @returns the names of the migrations that ran
 */
export async function migrate(databaseUrl: string, onProgress?: (line: string) => void): Promise<string[]> {
  // A connection of its own: the lock belongs to the session, and a pool may hand that to somebody else.
  const client = new pg.Client({ connectionString: databaseUrl, connectionTimeoutMillis: 10_000 });
  client.on("error", () => {}); // the statement under way fails with it
  await client.connect();
  try {
    await client.query("SELECT pg_advisory_lock($1)", [LOCK]);
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
        // Logged by the migration's own transaction, so that no crash can come between the two.
        logMigration: () => Promise.resolve(),
        unlogMigration: () => Promise.reject(new Error("migrations are forward-only")),
      },
      logger: undefined,
    });
    const ran = (await umzug.up()).map(({ name }) => name);
    // pg-boss is loaded only where it is needed.
    const { migrateJobs } = await import("./jobs.ts");
    if (await migrateJobs(client)) ran.push("pg-boss");
    return ran;
  } finally {
    await client.end();
  }
}
