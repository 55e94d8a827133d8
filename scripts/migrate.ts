/** `npm run migrate`: brings the database of DATABASE_URL to the newest schema. */
import { loadConfig } from "../core/config.ts";
import { explain } from "../core/explain.ts";
import { migrate } from "../migrations/migrate.ts";
import { databaseAnswers, describeDatabase } from "../migrations/ready.ts";

const say = (line: string): void => console.log(line);

async function main(): Promise<void> {
  const { DATABASE_URL } = loadConfig(process.env);
  if (DATABASE_URL === "")
    throw new Error(
      "Set DATABASE_URL to the database to migrate. (`npm start` migrates its embedded one itself.)",
    );
  await databaseAnswers(DATABASE_URL, { say });
  const ran = await migrate(DATABASE_URL, say);
  const where = describeDatabase(DATABASE_URL);
  say(ran.length === 0 ? `${where} is up to date.` : `${where}: ${ran.length} migrations ran.`);
}

await main().catch((error: unknown) => {
  console.error(explain(error));
  process.exitCode = 1;
});
