/** A primary that becomes a standby, and a name that then leads to the new one; here both are one Postgres. */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { until } from "../../local/until.ts";
import type { Person } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { expectProblem } from "../support/expectations.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

let node: TestNode;
let ada: Person;
/** A session of another database: it stays what it is. */
let admin: pg.Client;
let database: string;
beforeAll(async () => {
  node = await startTestNode();
  ada = await node.api.person("ada");
  database = new URL(node.config.DATABASE_URL).pathname.slice(1);
  admin = new pg.Client({ connectionString: process.env.TEST_POSTGRES_URL as string });
  await admin.connect();
});
afterAll(async () => {
  await admin.end();
  await node.stop();
});

const setReadOnly = (value: "on" | "off") =>
  admin.query(`ALTER DATABASE ${database} SET default_transaction_read_only = ${value}`);
const cut = () =>
  admin.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", [database]);
const create = () => ada.api.post("/tasks", { title: "Now" });
const sessionsSince = async (time: string): Promise<[old: number, all: number]> => {
  const { rows } = await admin.query<{ old: number; every: number }>(
    `SELECT count(*) FILTER (WHERE backend_start < $2)::int AS old, count(*)::int AS every
     FROM pg_stat_activity WHERE datname = $1`,
    [database, time],
  );
  const [{ old, every }] = rows as [{ old: number; every: number }];
  return [old, every];
};

test("a write that finds Postgres read-only is 503, and the next ones go to the new primary", async () => {
  const before = await ada.api.must("GET", "/tasks");
  await setReadOnly("on");
  await cut();
  // The gateway's and the notifier's reads connect again at once.
  expect(await until(async () => (await ada.api.get("/tasks")).status === 200, 5000)).toBe(true);
  expectProblem(await create(), 503, "database-unavailable");
  expectProblem(
    await ada.api.post("/tasks/bulk", { operations: [{ op: "create", title: "x" }] }),
    503,
    "database-unavailable",
  );

  await setReadOnly("off");
  const { rows } = await admin.query<{ now: string }>("SELECT clock_timestamp()::text AS now");
  const began = calmNow();
  expect(await until(async () => (await create()).status === 201, 5000)).toBe(true);
  expect(calmNow() - began).toBeLessThan(3000);
  // No read goes on at the old primary.
  expect(await until(async () => (await sessionsSince(rows[0]?.now as string))[0] === 0, 5000)).toBe(true);
  expect((await ada.api.must("GET", "/tasks")).total).toBe(before.total + 1);
});
