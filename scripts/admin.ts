/**
 * `npm run admin -- <email>`: makes an account admin, or creates an admin with a password that it prints once. Without
 * DATABASE_URL it uses the embedded Postgres below DATA_DIR, whether Taskwire runs or not.
 */
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ConfigError, loadConfig } from "../core/config.ts";
import { problemCode } from "../core/errors.ts";
import type { Role } from "../core/kit.ts";
import { isEmailAddress, keyOf, printable } from "../core/text.ts";
import { startPostgres } from "../local/postgres.ts";
import { describeDatabase } from "../migrations/ready.ts";
import { type Database, openDatabase } from "../mixins/database.ts";
import { endSessions } from "../services/users/account-cleanup.ts";
import { createUser } from "../services/users/users.commands.ts";

const email = (process.argv[2] ?? "").trim().normalize("NFC");

interface Account {
  id: string;
  username: string;
  role: Role;
  is_active: boolean;
  is_verified: boolean;
}

/** @returns the line for the terminal */
async function makeAdmin(db: Database, cost: number): Promise<string> {
  const [found] = await db.query<Account>({
    text: "SELECT id, username, role, is_active, is_verified FROM users.users WHERE email_key = $1",
    values: [keyOf(email)],
  });
  if (found === undefined) {
    const password = randomBytes(18).toString("base64url");
    const username = `admin-${randomBytes(4).toString("hex")}`;
    const standing = { role: "admin", is_verified: true } as const;
    await createUser(db, { email, username, password }, cost, standing);
    return `Created the admin ${email} (user name ${username}). Password, shown this once: ${password}`;
  }
  const { id, username, role, is_active, is_verified } = found;
  if (!is_active)
    throw new Error(`The account of ${email} is deactivated: reactivate it first, or name another address.`);
  if (role === "admin") return `${email} (user name ${username}) is admin already.`;
  // The sessions end, so that the user logs in again with the new role; gateways read the view auth.revoked.
  await db.transaction(async (tx) => {
    const promoted = await tx.query({
      text: "UPDATE users.users SET role = 'admin', updated_at = $2 WHERE id = $1 AND is_active RETURNING id",
      values: [id, new Date()],
    });
    if (promoted.length > 0) await endSessions(tx, id);
  });
  const proof = is_verified ? "" : ", whose e-mail address is not verified,";
  return `${email} (user name ${username})${proof} is admin now, and has to log in again.`;
}

/** The database, and the way to leave it. */
async function findDatabase(
  url: string,
  dataDir: string,
): Promise<{ url: string; name: string; release(): Promise<void> }> {
  if (url !== "") return { url, name: describeDatabase(url), release: () => Promise.resolve() };
  const dir = join(dataDir, "postgres");
  if (!existsSync(dir))
    throw new Error(`There is no database in ${dir}: run \`npm start\`, or set DATABASE_URL.`);
  const postgres = await startPostgres({ dir, durable: true });
  const embedded = new URL(postgres.url);
  embedded.pathname = "taskwire";
  return {
    url: embedded.href,
    name: `${describeDatabase(embedded.href)}, the embedded one in ${dir}`,
    release: () => (postgres.reused ? Promise.resolve() : postgres.release()),
  };
}

/** SQLSTATE of a database, table or schema that does not exist. */
const NOT_MIGRATED = /^(3D000|42P01|3F000)$/;

/** One line that says what to do next. */
function explain(error: unknown): string {
  const { code = "", message } = error as Error & { code?: string | number };
  if (problemCode(error) === "database-unavailable")
    return "The database does not answer: start it, or correct DATABASE_URL.";
  if (NOT_MIGRATED.test(String(code)))
    return "The database is empty: run `npm start` or `npm run migrate` first.";
  return error instanceof ConfigError ? message : (message.split("\n")[0] as string);
}

async function main(): Promise<void> {
  if (!isEmailAddress(email)) throw new Error("Usage: npm run admin -- <email>");
  const config = loadConfig(process.env);
  const database = await findDatabase(config.DATABASE_URL, config.DATA_DIR);
  const db = openDatabase({ ...config, DATABASE_URL: database.url }, () => {});
  console.log(`Database: ${database.name}`);
  try {
    console.log(printable(await makeAdmin(db, config.BCRYPT_COST)));
  } finally {
    await db.close();
    await database.release();
  }
}

await main().catch((error: unknown) => {
  console.error(explain(error).split("\n").map(printable).join("\n"));
  process.exitCode = 1;
});
