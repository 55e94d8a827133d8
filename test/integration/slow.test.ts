import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { until } from "../../local/until.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

/** Lists of one user that take long, on a node that gives a statement 1.5 s and a wait for its turn one. */
let node: TestNode;
let db: pg.Client;
let [ada, ben]: Person[] = [];
let task: Wire;

beforeAll(async () => {
  node = await startTestNode({ DATABASE_TIMEOUT: 2000 });
  [ada, ben] = await Promise.all([node.api.person("ada"), node.api.person("ben")]);
  const project = await ada!.api.must("POST", "/projects", { name: "Large" });
  await ada!.api.must("POST", `/projects/${project.id}/members`, { user_id: ben!.id, role: "member" });
  task = await ada!.api.must("POST", `/projects/${project.id}/tasks`, { title: "Here" });
  db = new pg.Client({ connectionString: node.config.DATABASE_URL });
  await db.connect();
  // A list reads the caller's memberships twice, for its page and for its total: a second and a quarter for ben's.
  const { rows } = await db.query<{ sql: string }>(
    "SELECT rtrim(pg_get_viewdef('projects.memberships'), ';') AS sql",
  );
  await db.query(
    `CREATE OR REPLACE VIEW projects.memberships AS SELECT * FROM (${rows[0]!.sql}) m
     WHERE CASE WHEN m.user_id = '${ben!.id}' THEN pg_sleep(0.62) IS NOT NULL ELSE true END`,
  );
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

const asleep = async (): Promise<number> => {
  const text = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()";
  return (await db.query(text)).rows.length;
};

/** Six lists of ben's at once. @returns what was answered, which grows, and the end of it all */
function askSix(query: string): { answered: Answer[]; all: Promise<unknown> } {
  const answered: Answer[] = [];
  const ask = async () => answered.push(await ben!.api.get(`/tasks?${query}`));
  return { answered, all: Promise.all(Array.from({ length: 6 }, ask)) };
}

test.each(["overdue=true", "limit=5", "sort=title&cursor="])(
  "a user's lists (?%s) are read two at a time, and others read on meanwhile",
  async (query) => {
    const { answered, all } = askSix(query);
    expect(await until(async () => (await asleep()) >= 2, 5000)).toBe(true);
    for (const path of [`/tasks/${task.id}`, "/tasks?overdue=false", "/tasks", "/projects"])
      expect([path, (await ada!.api.get(path)).status, answered.length]).toEqual([path, 200, 0]);
    expect(await asleep()).toBe(2);
    await all;
  },
);

test("a user's lists that found no turn in time are 429, and say when to come again", async () => {
  const { answered, all } = askSix("limit=5");
  await all;
  const refused = answered.filter(({ status }) => status !== 200);
  expect(refused).toHaveLength(4);
  for (const { status, body, headers } of refused)
    expect([status, body.type, headers.get("retry-after")]).toEqual([429, "/problems/rate-limited", "1"]);
});
