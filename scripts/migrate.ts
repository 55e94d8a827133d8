/**
 * `npm run migrate`: brings the database of DATABASE_URL to the newest schema. `-- --plan` prints what would run;
 * `-- --approve <hash>` runs that and nothing else, and production needs it.
 */
import { parseArgs } from "node:util";
import { loadConfig } from "../core/config.ts";
import { explain } from "../core/explain.ts";
import { migrate, planMigrations } from "../migrations/migrate.ts";
import { describePlan, mustBeApproved } from "../migrations/plan.ts";
import { databaseAnswers, describeDatabase } from "../migrations/ready.ts";

const say = (line: string): void => console.log(line);

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { plan: { type: "boolean", default: false }, approve: { type: "string" } },
  });
  // In production the program wants secrets that this script has no use for.
  const { DATABASE_URL } = loadConfig({ ...process.env, NODE_ENV: "development" });
  const production = process.env.NODE_ENV === "production";
  if (DATABASE_URL === "")
    throw new Error(
      "Set DATABASE_URL to the database to migrate. (`npm start` migrates its embedded one itself.)",
    );
  const where = describeDatabase(DATABASE_URL);
  await databaseAnswers(DATABASE_URL, { say });
  if (values.plan) return say(describePlan(await planMigrations(DATABASE_URL), where));
  // A compose file or a Job passes an empty one on where nobody has approved anything.
  const approved = (values.approve ?? "") === "" ? null : (values.approve as string);
  const ran = await migrate(DATABASE_URL, say, (plan) =>
    mustBeApproved(plan, { approved, production, where }),
  );
  say(ran.length === 0 ? `${where} is up to date.` : `${where}: ${ran.length} migrations ran.`);
}

await main().catch((error: unknown) => {
  console.error(explain(error));
  process.exitCode = 1;
});
