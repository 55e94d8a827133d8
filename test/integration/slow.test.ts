import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { problemCode } from "../../core/errors.ts";
import { until } from "../../local/until.ts";
import { openDatabase } from "../../mixins/database.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { upTo } from "../support/counting.ts";

/** Ben's lists wait while somebody has this advisory lock. */
const HELD = 7;
/** Gives a read 1.5 s, a statement of a transaction 1.8, and a wait for a turn one. */
let hasty: TestNode;
/** Gives them as long as a slow machine needs. */
let node: TestNode;
let db: pg.Client;
let [ada, ben]: Person[] = [];
let project: Wire;
let task: Wire;

beforeAll(async () => {
  hasty = await startTestNode({ DATABASE_TIMEOUT: 2000 });
  node = await startTestNode({ DATABASE_URL: hasty.config.DATABASE_URL });
  [ada, ben] = await Promise.all([node.api.person("ada"), node.api.person("ben")]);
  project = await ada!.api.must("POST", "/projects", { name: "Large" });
  await ada!.api.must("POST", `/projects/${project.id}/members`, { user_id: ben!.id, role: "member" });
  task = await ada!.api.must("POST", `/projects/${project.id}/tasks`, { title: "Here" });
  db = new pg.Client({ connectionString: node.config.DATABASE_URL });
  await db.connect();
  // A list reads the caller's memberships.
  const { rows } = await db.query<{ sql: string }>(
    "SELECT rtrim(pg_get_viewdef('projects.memberships'), ';') AS sql",
  );
  await db.query(
    `CREATE FUNCTION public.hold() RETURNS boolean LANGUAGE plpgsql AS $$
       BEGIN PERFORM pg_advisory_xact_lock_shared(${HELD}); RETURN true; END $$;
     CREATE OR REPLACE VIEW projects.memberships AS SELECT * FROM (${rows[0]!.sql}) m
     WHERE CASE WHEN m.user_id = '${ben!.id}' THEN public.hold() ELSE true END`,
  );
  await db.query(
    `CREATE FUNCTION public.doze() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN PERFORM pg_sleep(tg_argv[0]::float); RETURN new; END $$;
     CREATE TRIGGER doze BEFORE INSERT ON tasks.tasks FOR EACH ROW
       WHEN (new.title = 'long') EXECUTE FUNCTION public.doze(0.022);
     CREATE TRIGGER doze BEFORE INSERT ON projects.members FOR EACH ROW
       WHEN (new.role = 'viewer') EXECUTE FUNCTION public.doze(60)`,
  );
});
afterAll(async () => {
  await db?.end();
  await Promise.all([node?.stop(), hasty?.stop()]);
});

/** How many statements wait in Postgres, for one reason. */
const waiting = async (event: "advisory" | "PgSleep"): Promise<number> => {
  const text = "SELECT FROM pg_stat_activity WHERE wait_event = $1 AND datname = current_database()";
  return (await db.query(text, [event])).rows.length;
};

/** Asks a node for six lists of ben's at once, which wait until `work` is done. @returns what was answered, which grows */
async function whileSixWait(
  { api }: TestNode,
  query: string,
  work: (answered: Answer[]) => Promise<void>,
): Promise<Answer[]> {
  const answered: Answer[] = [];
  const ask = async () => answered.push(await api.as(ben!.token).get(`/tasks?${query}`));
  await db.query("SELECT pg_advisory_lock($1)", [HELD]);
  const all = Promise.all(upTo(6).map(ask));
  try {
    await work(answered);
  } finally {
    await db.query("SELECT pg_advisory_unlock($1)", [HELD]);
    await all;
  }
  return answered;
}

test.each(["overdue=true", "limit=5", "sort=title&cursor="])(
  "a user's lists (?%s) are read two at a time, and others read on meanwhile",
  async (query) => {
    await whileSixWait(node, query, async (answered) => {
      expect(await until(async () => (await waiting("advisory")) >= 2, 5000)).toBe(true);
      for (const path of [`/tasks/${task.id}`, "/tasks?overdue=false", "/tasks", "/projects"])
        expect([path, (await ada!.api.get(path)).status, answered.length]).toEqual([path, 200, 0]);
      expect(await waiting("advisory")).toBe(2);
    });
  },
);

test("a user's lists that found no turn in time are 429, and say when to come again", async () => {
  const answered = await whileSixWait(hasty, "limit=5", async (so) => {
    await until(() => so.length >= 4, 5000);
  });
  // On a slow machine those that had a turn are cancelled before they hear that they may go on.
  const refused = answered.filter(({ status }) => status !== 200 && status !== 504);
  expect(refused).toHaveLength(4);
  for (const { status, body, headers } of refused)
    expect([status, body.type, headers.get("retry-after")]).toEqual([429, "/problems/rate-limited", "1"]);
});

test("a statement that takes too long is 504, and nobody says that the database is away", async () => {
  const cleo = await node.api.person("cleo");
  const member = { user_id: cleo.id, role: "viewer" };
  const { status, body, headers } = await hasty.api
    .as(ada!.token)
    .post(`/projects/${project.id}/members`, member);
  // On a slow machine the call is over before it hears that Postgres has cancelled the statement, and says less.
  expect([status, body.type]).toEqual([504, "/problems/timeout"]);
  expect(headers.get("retry-after")).toBe("1");
  expect(await until(async () => (await waiting("PgSleep")) === 0, 5000)).toBe(true);
  expect((await ada!.api.must("GET", `/projects/${project.id}/members`)).total).toBe(2);
});

test("a bulk of a hundred long texts gets more time than a statement", async () => {
  const description = "long ".repeat(1990);
  const operations = Array.from({ length: 100 }, () => ({ op: "create", title: "long", description }));
  const { status, body } = await hasty.api.as(ada!.token).post("/tasks/bulk", {
    operations: operations.map((operation) => ({ ...operation, project_id: project.id })),
  });
  expect([status, body.results?.length]).toEqual([200, 100]);
});

test("a write that waits long for a lock waits elsewhere: reads go on, and it happens when the lock is free", async () => {
  const waiting = new Set<number>();
  const look = async (): Promise<number> => {
    const { rows } = await db.query<{ pid: number }>(
      `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
    );
    for (const { pid } of rows) waiting.add(pid);
    return waiting.size;
  };
  const holder = new pg.Client({ connectionString: node.config.DATABASE_URL });
  await holder.connect();
  try {
    await holder.query("BEGIN");
    await holder.query("SELECT FROM tasks.tasks WHERE id = $1 FOR UPDATE", [task.id]);
    const written = ada!.api.patch(`/tasks/${task.id}`, { title: "Written" });
    // First among the other writes, then on a connection of its own.
    expect(await until(async () => (await look()) >= 2, 5000)).toBe(true);
    expect((await ada!.api.must("GET", `/tasks/${task.id}`)).title).toBe("Here");
    await ada!.api.must("POST", "/tasks", { title: "Another" });
    await holder.query("COMMIT");
    const { status, body } = await written;
    expect([status, body.title, body.version]).toEqual([200, "Written", 2]);
  } finally {
    await holder.end();
  }
});

test("reads, writes, transactions and what may be slow have connections of their own: none waits behind another kind", async () => {
  const own = openDatabase(node.config, () => {});
  const pid = { text: "SELECT pg_backend_pid() AS pid" };
  try {
    const kinds = [pid, { ...pid, write: true }, { ...pid, slow: "bounded" as const }].map(
      (statement) => () => own.query<{ pid: number }>(statement),
    );
    kinds.push(() => own.transaction((tx) => tx.query(pid)));
    const used = await Promise.all(
      kinds.map(async (ask) => new Set((await Promise.all(upTo(12).map(ask))).flat().map(({ pid }) => pid))),
    );
    expect(used.reduce((all, some) => all.union(some)).size).toBe(
      used.reduce((sum, { size }) => sum + size, 0),
    );
  } finally {
    await own.close();
  }
});

test("a transaction that says nothing for two seconds is over, and what it held is free", async () => {
  const own = openDatabase(node.config, () => {});
  try {
    const silent = own.transaction(async (tx) => {
      await tx.query({ text: "SELECT FROM tasks.tasks WHERE id = $1 FOR UPDATE", values: [task.id] });
      await db.query("UPDATE tasks.tasks SET title = title WHERE id = $1", [task.id]);
      await tx.query({ text: "SELECT 1" });
    });
    expect(problemCode(await silent.catch((error: unknown) => error))).toBe("database-unavailable");
  } finally {
    await own.close();
  }
});
