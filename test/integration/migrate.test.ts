/** `npm run migrate` in production: what is read is what runs. */
import { beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import { migrate as migrateHere } from "../../migrations/migrate.ts";
import { freshDatabase } from "../support/database.ts";
import { runProgram } from "../support/program.ts";

let url: string;
beforeAll(async () => {
  const server = new pg.Client({ connectionString: process.env.TEST_POSTGRES_URL });
  await server.connect();
  const name = `empty_${newId().replaceAll("-", "")}`;
  await server.query(`CREATE DATABASE ${name}`).finally(() => server.end());
  url = Object.assign(new URL(process.env.TEST_POSTGRES_URL as string), { pathname: name }).href;
});

const migrate = (...args: string[]) =>
  runProgram("scripts/migrate.ts", { NODE_ENV: "production", DATABASE_URL: url }, args).ended;

async function tables(): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  const { rows } = await client
    .query<{ count: number }>(
      "SELECT count(*)::int AS count FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')",
    )
    .finally(() => client.end());
  return rows[0]?.count ?? -1;
}

test("production runs the plan that was approved, and no other", async () => {
  const [plan, unapproved, other, empty] = await Promise.all([
    migrate("--plan"),
    migrate(),
    migrate("--approve", "0123456789abcdef"),
    migrate("--approve", ""),
  ]);
  expect([plan.code, plan.stderr]).toEqual([0, ""]);
  expect(plan.stdout).toMatch(/^\d+ migrations would run on 127\.0\.0\.1:\d+\/empty_\w+, in this order:\n/);
  for (const part of ["-- 0001-events.sql\n", "CREATE TABLE events.log", "-- 0009-keys.ts: TypeScript"])
    expect(plan.stdout).toContain(part);
  expect(plan.stdout).toMatch(/-- pg-boss\n\nBEGIN;/);
  const [, hash = ""] = /npm run migrate -- --approve (\w{16})\n$/.exec(plan.stdout) ?? [];
  for (const { code, stderr } of [unapproved, empty]) {
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^127\S+ has \d+ migrations to run \(0001-events\.sql, .*pg-boss\), and production runs only what was approved: read `npm run migrate -- --plan`.*\n$/,
    );
  }
  expect(other.code).toBe(1);
  expect(other.stderr).toMatch(/^The approval 0123456789abcdef is for other migrations: 127.*--plan.*\n$/);
  expect(await tables()).toBe(0);

  const run = await migrate("--approve", hash);
  expect([run.code, run.stderr]).toEqual([0, ""]);
  expect(run.stdout).toMatch(/migrating: 0001-events\.sql\n[\s\S]*: \d+ migrations ran\.\n$/);
  expect(await tables()).toBeGreaterThan(10);

  const [again, planned] = await Promise.all([migrate(), migrate("--plan")]);
  expect([again.code, again.stderr]).toEqual([0, ""]);
  expect(again.stdout).toMatch(/is up to date\.\n$/);
  expect(planned.stdout).toMatch(/is up to date: nothing would run\.\n$/);
});

test("tasks from before positions get one each, in the order of their creation, after a run that ended half-way too", async () => {
  const database = await freshDatabase();
  const client = new pg.Client({ connectionString: database });
  await client.connect();
  const user = newId();
  const insert = (id: string) =>
    client.query(
      `INSERT INTO tasks.tasks (id, title, status, priority, created_by, created_at, updated_at)
       VALUES ($1, 'x', 'pending', 'low', $2, now(), now())`,
      [id, user],
    );
  try {
    await client.query(`
      DELETE FROM public.migrations WHERE name = '0027-position.ts';
      ALTER TABLE tasks.tasks DROP COLUMN position`);
    await client.query(
      `INSERT INTO users.users (id, email, username, password_hash, created_at, updated_at, email_key, username_key)
       VALUES ($1, 'a', 'a', '', now(), now(), 'a', 'a')`,
      [user],
    );
    const ids = Array.from({ length: 5 }, newId);
    for (const id of ids) await insert(id);
    await client.query(`ALTER TABLE tasks.tasks ADD COLUMN position text COLLATE "C"`);
    await client.query("UPDATE tasks.tasks SET position = 'moved' WHERE id = $1", [ids[3]]);
    expect(await migrateHere(database)).toEqual(["0027-position.ts"]);
    // As a node of the last version writes it.
    const late = newId();
    await insert(late);
    const { rows } = await client.query<{ id: string; position: string }>(
      "SELECT id, position FROM tasks.tasks ORDER BY position",
    );
    expect(rows.map(({ id }) => id)).toEqual([...ids.toSpliced(3, 1), late, ids[3]]);
    expect(rows[0]?.position).toBe(ids[0]?.replaceAll("-", ""));
    const { rows: nullable } = await client.query(
      "SELECT attnotnull FROM pg_attribute WHERE attrelid = 'tasks.tasks'::regclass AND attname = 'position'",
    );
    expect(nullable).toEqual([{ attnotnull: true }]);
  } finally {
    await client.end();
  }
});
