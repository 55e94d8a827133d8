/** `npm run schema`: runs the migrations on a database of its own, and writes its schema to migrations/schema.sql. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startPostgres } from "../local/postgres.ts";
import { dumpSchema } from "../migrations/dump.ts";
import { migrate } from "../migrations/migrate.ts";

const dir = await mkdtemp(join(tmpdir(), "taskwire-schema-"));
const postgres = await startPostgres({ dir, durable: false });
try {
  await migrate(postgres.url);
  const file = new URL("../migrations/schema.sql", import.meta.url);
  await writeFile(file, await dumpSchema(postgres.url));
  console.log("migrations/schema.sql written");
} finally {
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
}
