/** Idempotency keys where it counts: the client hears nothing, the node is gone, and the request comes again. */
import { connect } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import { type Answer, PASSWORD, type Person, type Wire } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";

let cluster: TestCluster;
let db: pg.Pool;
let ada: Person;

beforeAll(async () => {
  cluster = await startTestCluster();
  ada = await cluster.api.person("ada");
  db = new pg.Pool({ connectionString: cluster.databaseUrl });
});
afterAll(async () => {
  await db?.end();
  await cluster?.stop();
});

const RETRIES = 20;
const times = <Result>(count: number, make: (nth: number) => Result): Result[] =>
  Array.from({ length: count }, (_, nth) => make(nth));
const post = (title: string, key?: string): Promise<Answer> =>
  ada.api.post("/tasks", { title }, key === undefined ? {} : { "Idempotency-Key": key });
const rowsOf = async (title: string): Promise<string[]> => {
  const { rows } = await db.query<{ id: string }>("SELECT id FROM tasks.tasks WHERE title = $1", [title]);
  return rows.map(({ id }) => id);
};
/** Titles of the events of a user's own stream, and whether their numbers have a hole. */
async function told(): Promise<{ titles: string[]; whole: boolean }> {
  const { rows } = await db.query<{ seq: number; title: string }>(
    "SELECT seq::int, data->'task'->>'title' AS title FROM events.log WHERE stream = $1 ORDER BY seq",
    [`user:${ada.id}`],
  );
  return { titles: rows.map(({ title }) => title), whole: rows.every(({ seq }, n) => seq === n + 1) };
}

/** Connections of a node, of those that wait for something where that is said. */
async function connectionsOf(name: string, waitsFor: string | null = null): Promise<number> {
  const { rows } = await db.query<{ count: number }>(
    `SELECT count(*)::int FROM pg_stat_activity
     WHERE datname = current_database() AND application_name = $1 AND ($2::text IS NULL OR wait_event_type = $2)`,
    [`taskwire ${name}`, waitsFor],
  );
  return rows[0]!.count;
}

/** Tells whether a node has sent Postgres anything since. */
async function workOf(name: string): Promise<() => Promise<boolean>> {
  const last = async (): Promise<string | null> => {
    const { rows } = await db.query<{ last: string | null }>(
      "SELECT max(query_start)::text AS last FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1",
      [`taskwire ${name}`],
    );
    return rows[0]!.last;
  };
  const before = await last();
  return async () => (await last()) !== before;
}

/** Sends the request whole; the client is gone before any answer. @returns what cuts the connection */
async function sendAndLeave(title: string, key: string): Promise<() => void> {
  const { port, hostname } = new URL(ada.api.url);
  const body = JSON.stringify({ title });
  const lines = [
    "POST /tasks HTTP/1.1",
    `Host: ${hostname}`,
    `Authorization: Bearer ${ada.token}`,
    `Idempotency-Key: ${key}`,
    "Content-Type: application/json",
    `Content-Length: ${body.length}`,
    "",
    body,
  ];
  const socket = connect(Number(port), hostname);
  socket.on("error", () => {});
  await new Promise((sent) => socket.write(lines.join("\r\n"), sent));
  return () => void socket.destroy();
}

/** Many at once under one key: all get one answer, and one task is there and was told of once. */
async function expectOne(title: string, key: string): Promise<void> {
  const answers = await Promise.all(times(RETRIES, () => post(title, key)));
  const bodies = new Set(answers.map(({ status, body }) => JSON.stringify([status, body])));
  expect([...bodies]).toEqual([JSON.stringify([201, answers[0]!.body])]);
  const replayed = answers.filter(({ headers }) => headers.get("idempotency-replayed") === "true");
  expect(replayed.length).toBeGreaterThanOrEqual(RETRIES - 1);
  expect(await rowsOf(title)).toEqual([answers[0]!.body.id]);
  expect((await told()).titles.filter((one) => one === title)).toEqual([title]);
}

test("a client that cuts the connection before the answer and sends it again 20 times at once made one task", async () => {
  for (const nth of times(10, (n) => n)) {
    const [title, key] = [`Cut ${nth}`, newId()];
    const leave = await sendAndLeave(title, key);
    // Of these some leave at once, some when the write is on its way or done.
    if (nth % 3 === 1) await until(async () => (await rowsOf(title)).length > 0, 5000);
    leave();
    await expectOne(title, key);
  }
});

test("the same when kill -9 ends the tasks node that was at it", async () => {
  const requests = times(8, (n) => ({ title: `Killed ${n}`, key: newId() }));
  // Nobody gets past the stream of ada's events, so that all are under way when the node goes.
  const holder = await db.connect();
  await holder.query("BEGIN");
  await holder.query("SELECT FROM events.streams WHERE name = $1 FOR UPDATE", [`user:${ada.id}`]);
  try {
    const leave = await Promise.all(requests.map(({ title, key }) => sendAndLeave(title, key)));
    expect(await until(async () => (await connectionsOf("tasks-1", "Lock")) > 0, 5000)).toBe(true);
    await cluster.kill("tasks-1");
    leave.forEach((go) => go());
  } finally {
    await holder.query("COMMIT");
    holder.release();
  }
  await Promise.all(requests.map(({ title, key }) => expectOne(title, key)));
  expect((await told()).whole).toBe(true);
  await cluster.revive("tasks-1");
});

test("a write that another node refused, since its own was frozen, does not happen when that one goes on", async () => {
  const { id: project } = await ada.api.must("POST", "/projects", { name: "Frozen" });
  const setStatus = (status: string) => ada.api.must("PATCH", `/projects/${project}`, { status });
  const create = () => ada.api.must("POST", `/projects/${project}/tasks`, { title: "Frozen" });
  const tasks = await Promise.all(times(12, create));
  const hasWorked = await workOf("tasks-1");
  cluster.group.kill("tasks-1", "SIGSTOP");
  const moving = tasks.map(({ id }) => ada.api.post(`/tasks/${id}/transitions`, { to: "in_progress" }));
  await setStatus("archived");
  const answers = await Promise.all(moving);
  const refused = answers.filter(({ status }) => status === 409);
  expect(refused.map(({ body }) => body.type)).toContain("/problems/project-archived");
  await setStatus("active");
  cluster.group.kill("tasks-1", "SIGCONT");
  // What it got while it was frozen is the first that it does, and these wait for the same stream.
  expect(await until(async () => (await create()) && (await hasWorked()), 10_000)).toBe(true);
  for (const _ of times(10, (n) => n)) await create();
  const now = await Promise.all(tasks.map(({ id }) => ada.api.must("GET", `/tasks/${id}`)));
  expect(now.map(({ status }) => status)).toEqual(
    answers.map(({ status }) => (status === 409 ? "pending" : "in_progress")),
  );
});

/** Kills one tasks node after the other, each while answers keep coming, and revives it. */
async function killEachTasksNode(answers: readonly unknown[]): Promise<void> {
  for (const name of ["tasks-1", "tasks-2"]) {
    const before = answers.length;
    expect(await until(() => answers.length > before + 100, 15_000)).toBe(true);
    await cluster.kill(name);
    expect(await until(() => answers.length > before + 250, 15_000)).toBe(true);
    await cluster.revive(name);
    // It has work again.
    expect(await until(async () => (await connectionsOf(name)) > 0, 10_000)).toBe(true);
  }
}

test("PATCH, PUT and DELETE while a tasks node is killed: none fails, also with If-Match, and each happened once", async () => {
  const answers: [method: string, answer: Answer][] = [];
  const edited = new Map<string, string[]>();
  let writing = true;
  const writers = times(6, async (writer) => {
    for (let n = 0; writing; n++) {
      const { id } = await ada.api.must("POST", "/tasks", { title: `Edited ${writer} ${n}` });
      const titles = [`Patched ${writer} ${n}`, `Replaced ${writer} ${n}`];
      edited.set(id, titles);
      const patched = await ada.api.patch(`/tasks/${id}`, { title: titles[0] }, { "If-Match": '"1"' });
      const replaced = await ada.api.put(`/tasks/${id}`, { title: titles[1] }, { "If-Match": '"2"' });
      answers.push(["PATCH", patched], ["PUT", replaced]);
      if (n % 2 === 0) answers.push(["DELETE", await ada.api.delete(`/tasks/${id}`)]);
    }
  });
  await killEachTasksNode(answers).finally(() => (writing = false));
  await Promise.all(writers);
  const wanted: Record<string, number> = { PATCH: 200, PUT: 200, DELETE: 204 };
  const failed = answers.filter(([method, { status }]) => status !== wanted[method]);
  expect(failed.map(([method, { status, body }]) => [method, status, body])).toEqual([]);
  const { rows } = await db.query<{ id: string; titles: string[] }>(
    `SELECT data->'task'->>'id' AS id, array_agg(data->'task'->>'title' ORDER BY seq) AS titles
     FROM events.log WHERE stream = $1 AND type = 'task_updated' GROUP BY 1`,
    [`user:${ada.id}`],
  );
  const told = new Map(rows.map(({ id, titles }) => [id, titles]));
  for (const [id, titles] of edited) expect(told.get(id)).toEqual(titles);
});

test("POSTs without a key while a tasks node is killed: none fails, and each made one task", async () => {
  const answers: { title: string; answer: Answer; took: number }[] = [];
  let writing = true;
  const writers = times(6, async (writer) => {
    for (let n = 0; writing; n++) {
      const title = `Keyless ${writer} ${n}`;
      const began = calmNow();
      const answer = await post(title);
      answers.push({ title, answer, took: calmNow() - began });
    }
  });
  await killEachTasksNode(answers).finally(() => (writing = false));
  await Promise.all(writers);
  const failed = answers.filter(({ answer }) => answer.status !== 201);
  expect(failed.map(({ answer }) => [answer.status, answer.body])).toEqual([]);
  // The client knows of no key, so nothing tells it that its request went twice.
  expect(answers.filter(({ answer }) => answer.headers.has("idempotency-replayed"))).toEqual([]);
  expect(Math.max(...answers.map(({ took }) => took))).toBeLessThan(3000);

  const { rows } = await db.query<{ title: string; id: string }>(
    "SELECT title, id FROM tasks.tasks WHERE title LIKE 'Keyless%'",
  );
  expect(rows.length).toBe(answers.length);
  expect(new Map(rows.map(({ title, id }) => [title, id]))).toEqual(
    new Map(answers.map(({ title, answer }) => [title, answer.body.id])),
  );
  expect((await told()).whole).toBe(true);
});

/** Commits of accounts, sessions and tokens wait while somebody has this advisory lock. */
const HELD = 7;
const HOLD_COMMITS = ["users.users", "auth.sessions", "auth.personal_tokens", "auth.refresh_tokens"]
  .map(
    (table) => `CREATE CONSTRAINT TRIGGER hold AFTER UPDATE ON ${table} DEFERRABLE INITIALLY DEFERRED
                   FOR EACH ROW EXECUTE FUNCTION hold();`,
  )
  .join("\n");

test("changes of accounts, sessions and tokens that a killed node had committed are answered by another one", async () => {
  const [people, leaving, erased] = (await Promise.all(
    ["ben", "eve", "max"].map((name) => Promise.all(times(2, () => cluster.api.person(name)))),
  )) as [Person[], Person[], Person[]];
  const made = await Promise.all(
    people.map(async ({ api, id, username }) => {
      const { headers } = await api.get(`/users/${id}`);
      const { id: token } = await api.must("POST", "/auth/tokens", { name: "Machine", scope: "read" });
      const { items } = await api.must("GET", "/auth/sessions");
      await api.must("POST", "/auth/login", { login: username, password: PASSWORD });
      const sessions = await api.must("GET", "/auth/sessions");
      const [session] = sessions.items.filter(({ id }: Wire) => id !== items[0].id);
      return { token, session: session.id as string, tag: headers.get("etag") as string };
    }),
  );
  await Promise.all([cluster.addNode("auth-2", "auth"), cluster.addNode("users-2", "users")]);
  await db.query(
    `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = 0 AS $$ BEGIN
       PERFORM pg_advisory_xact_lock_shared(${HELD});
       RETURN NULL;
     END $$;
     ${HOLD_COMMITS}`,
  );

  const holder = await db.connect();
  await holder.query("SELECT pg_advisory_lock($1)", [HELD]);
  let answers: Promise<Answer[]>;
  try {
    const isHeld = async () =>
      (await connectionsOf("auth", "Lock")) >= 3 && (await connectionsOf("users", "Lock")) >= 2;
    // Two of each, which the two nodes share. They are written, and wait for their commits, when one of the nodes goes.
    // (A single statement may have to wait behind another one on its connection.)
    answers = Promise.all([
      ...people.map(({ api, id }, n) =>
        api.patch(`/users/${id}`, { first_name: "Changed" }, { "If-Match": made[n]!.tag }),
      ),
      ...people.map(({ api }, n) => api.delete(`/auth/tokens/${made[n]!.token}`)),
      ...people.map(({ api }, n) => api.delete(`/auth/sessions/${made[n]!.session}`)),
      ...people.map(({ api, refreshToken }) => api.post("/auth/refresh", { refresh_token: refreshToken })),
      ...leaving.map(({ api }) => api.post("/auth/logout")),
      ...erased.map(({ api, id }) => api.delete(`/users/${id}`)),
    ]);
    expect(await until(isHeld, 5000)).toBe(true);
    await Promise.all([cluster.kill("auth"), cluster.kill("users")]);
  } finally {
    await holder.query("SELECT pg_advisory_unlock($1)", [HELD]);
    holder.release();
  }
  const seen = (await answers).map(({ status, body }) => [status, body?.first_name]);
  const gone = [204, undefined];
  expect(seen).toEqual([
    ...times(2, () => [200, "Changed"]),
    ...times(4, () => gone),
    ...times(2, () => [200, undefined]),
    ...times(4, () => gone),
  ]);
  const refreshed = (await answers).filter(({ body }) => body?.refresh_token !== undefined);
  for (const { body } of refreshed)
    await cluster.api.must("POST", "/auth/refresh", { refresh_token: body.refresh_token });
  const { rows } = await db.query<{ n: number }>(
    "SELECT count(*)::int AS n FROM idempotency.keys WHERE response::text LIKE '%@%'",
  );
  expect(rows).toEqual([{ n: 0 }]);
});
