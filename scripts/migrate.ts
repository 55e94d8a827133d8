import { loadConfig } from "../core/config.ts";
import { migrate } from "../migrations/migrate.ts";

const { DATABASE_URL } = loadConfig(process.env);
if (DATABASE_URL === "") {
  console.error(
    "Set DATABASE_URL to the database to migrate. (`npm start` migrates its embedded one itself.)",
  );
  process.exit(1);
}
const ran = await migrate(DATABASE_URL, (line) => console.log(line));
console.log(ran.length === 0 ? "The database is up to date." : `${ran.length} migrations ran.`);
