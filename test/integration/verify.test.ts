/** `npm run verify` finds nothing in a database that only the product wrote, and each thing that somebody else does to it. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { execFile } from "node:child_process";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import type { Queryable, Statement } from "../../mixins/database.ts";
import { forgetOldEvents } from "../../mixins/event-log.erasure.ts";
import { ADVICE, Audit, type Finding, type Kind } from "../../scripts/verify/audit.ts";
import { verify } from "../../scripts/verify/verify.ts";
import { projects } from "../../services/projects/projects.contract.ts";
import { tasks } from "../../services/tasks/tasks.contract.ts";
import type { Person, Wire } from "../support/api.ts";
import { type Cast, makeCast, makeProject } from "../support/cast.ts";
import { openDatabase } from "../support/database.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

let node: TestNode;
let sql: pg.Client;
let cast: Cast;
let owner: Person;
let member: Person;
/** In use, uncut. */
let busy: Wire;
/** The log has forgotten the first half of its events. */
let cut: Wire;
/** One task with a comment in `busy`. */
let task: Wire;
let comment: Wire;

const HOUR_MS = 3_600_000;
const FAR = new Date(Date.now() + 2 * HOUR_MS).toISOString();

async function use(project: Wire): Promise<Wire> {
  const { manager } = cast;
  const category = await member.api.must("POST", "/categories", { name: `c-${newId()}`, color: "#123456" });
  const create = (fields: object, by = owner): Promise<Wire> =>
    by.api.must("POST", `/projects/${project.id}/tasks`, { title: "Cafe\u0301", ...fields });
  const [first, second, third, fourth] = (await Promise.all([
    create({ assigned_to: member.id, due_date: FAR }),
    create({ description: "A secret" }, member),
    create({ category_id: category.id }, member),
    create({}),
  ])) as [Wire, Wire, Wire, Wire];
  await manager.api.must("PATCH", `/tasks/${first.id}`, { status: "completed", assigned_to: manager.id });
  await member.api.must("PUT", `/tasks/${second.id}`, { title: "Another", description: "A secret" });
  const remark = await member.api.must("POST", `/tasks/${second.id}/comments`, { body: "A secret" });
  await member.api.must("PATCH", `/tasks/${second.id}/comments/${remark.id}`, { body: "A secret, too" });
  await manager.api.must("POST", `/tasks/${second.id}/redact`);
  await manager.api.must("POST", `/tasks/${second.id}/comments/${remark.id}/redact`);
  const gone = await member.api.must("POST", `/tasks/${third.id}/comments`, { body: "Gone" });
  await member.api.must("DELETE", `/tasks/${third.id}/comments/${gone.id}`);
  await manager.api.must("POST", `/tasks/${third.id}/comments/${gone.id}/redact`);
  await manager.api.must("DELETE", `/tasks/${third.id}`);
  await manager.api.must("DELETE", `/tasks/${fourth.id}`);
  await manager.api.must("POST", `/tasks/${fourth.id}/restore`);
  await owner.api.must("POST", "/tasks/bulk", {
    operations: [
      ...Array.from({ length: 5 }, () => ({ op: "create", title: "Bulk", project_id: project.id })),
      { op: "update", id: fourth.id, title: "Changed", assigned_to: member.id },
      { op: "transition", id: fourth.id, to: "in_progress" },
    ],
  });
  // Takes it off a task that nobody sees.
  await member.api.must("DELETE", `/categories/${category.id}`);
  await owner.api.must("PATCH", `/projects/${project.id}/members/${member.id}`, { role: "manager" });
  await owner.api.must("POST", `/projects/${project.id}/members`, {
    user_id: cast.stranger.id,
    role: "viewer",
  });
  await cast.stranger.api.must("DELETE", `/projects/${project.id}/members/${cast.stranger.id}`);
  await owner.api.must("PATCH", `/projects/${project.id}`, { description: "In use", status: "archived" });
  await owner.api.must("PATCH", `/projects/${project.id}`, { status: "active" });
  return first;
}

/** Personal tasks, one of which goes to somebody else and back. */
async function usePersonal(): Promise<void> {
  const { id } = await owner.api.must("POST", "/tasks", { title: "Mine", assigned_to: member.id });
  await member.api.must("POST", `/tasks/${id}/comments`, { body: "Yours" });
  await owner.api.must("POST", `/tasks/${id}/assign`, { assigned_to: cast.manager.id });
  await owner.api.must("POST", `/tasks/${id}/assign`, { assigned_to: null });
  const gone = await owner.api.must("POST", "/tasks", { title: "Gone" });
  await owner.api.must("DELETE", `/tasks/${gone.id}`);
}

/** A stream whose last commit has several events. */
async function endWithTwo(): Promise<void> {
  const { id } = await makeProject(cast, { name: "Two" });
  const { id: last } = await owner.api.must("POST", `/projects/${id}/tasks`, { title: "Two" });
  await owner.api.must("PATCH", `/tasks/${last}`, { status: "completed", assigned_to: member.id });
}

/** Erases an account, and waits until nothing is assigned to it. */
async function leave({ id, api }: Person): Promise<void> {
  await api.must("DELETE", `/users/${id}`);
  const isLeft = async () =>
    (await sql.query("SELECT FROM tasks.tasks WHERE assigned_to = $1", [id])).rowCount === 0;
  expect(await until(isLeft, 15_000)).toBe(true);
}

/** An erased account whose projects and tasks others keep, some of which nobody sees. */
async function erase(): Promise<void> {
  const leaver = await node.api.person("leaver");
  const hidden = await makeProject(cast, { name: "Hidden" });
  for (const { id } of [busy, hidden])
    await owner.api.must("POST", `/projects/${id}/members`, { user_id: leaver.id, role: "owner" });
  for (const { id } of [busy, hidden])
    await owner.api.must("POST", `/projects/${id}/tasks`, { title: "Left", assigned_to: leaver.id });
  const own = await leaver.api.must("POST", "/projects", { name: "Own" });
  await leaver.api.must("POST", `/projects/${own.id}/tasks`, { title: "Own" });
  await owner.api.must("DELETE", `/projects/${hidden.id}`);
  await leave(leaver);
  await owner.api.must("POST", `/projects/${hidden.id}/restore`);
}

async function purge(): Promise<void> {
  const dead = await makeProject(cast, { name: "Dead" });
  await owner.api.must("POST", `/projects/${dead.id}/tasks`, { title: "Dead", assigned_to: member.id });
  await owner.api.must("DELETE", `/projects/${dead.id}`);
  const { id } = await owner.api.must("POST", `/projects/${busy.id}/tasks`, { title: "Purged" });
  await owner.api.must("POST", `/tasks/${id}/comments`, { body: "Purged" });
  await owner.api.must("DELETE", `/tasks/${id}`);
  await sql.query("UPDATE projects.projects SET deleted_at = '2001-01-01' WHERE id = $1", [dead.id]);
  await sql.query("UPDATE tasks.tasks SET deleted_at = '2001-01-01' WHERE id = $1", [id]);
  const before = () => ({ before: "2002-01-01T00:00:00.000Z" });
  while (await tasks.call(node.broker, "purge", before()));
  while (await projects.call(node.broker, "purge", before()));
}

/** Forgets a part of a stream's events, as the job does. */
async function forget(stream: string, part: number): Promise<void> {
  await sql.query(
    `WITH stream AS (UPDATE events.streams SET oldest_at = '2001-01-01' WHERE name = $1 RETURNING head)
     UPDATE events.log SET time = '2001-01-01' WHERE stream = $1 AND seq <= (SELECT head * $2::float FROM stream)`,
    [stream, part],
  );
  const db = { query: async ({ text, values }: Statement) => (await sql.query(text, values)).rows };
  while (await forgetOldEvents(db as Queryable, "2002-01-01"));
}

const check = async (): Promise<Finding[]> => (await verify(node.config.DATABASE_URL)).findings;

beforeAll(async () => {
  node = await startTestNode();
  sql = await openDatabase(node);
  cast = await makeCast(node, sql);
  ({ owner, member } = cast);
  [busy, cut] = (await Promise.all([makeProject(cast), makeProject(cast, { name: "Cut" })])) as [Wire, Wire];
  task = await use(busy);
  await use(cut);
  comment = await member.api.must("POST", `/tasks/${task.id}/comments`, { body: "A word" });
  await usePersonal();
  await erase();
  await purge();
  await tasks.call(node.broker, "announce_due", {});
  await endWithTwo();
  await forget(`project:${cut.id}`, 0.5);
  await forget(`user:${cast.manager.id}`, 1);
  await owner.api.post("/tasks", { title: "Once" }, { "Idempotency-Key": "once" });
});
afterAll(async () => {
  await sql?.end();
  await node?.stop();
});

describe("a database that only the product wrote", () => {
  test("is sound, whatever was redacted, archived, erased, restored, purged and forgotten", async () => {
    const report = await verify(node.config.DATABASE_URL);
    expect(report.findings).toEqual([]);
    const examined = Object.fromEntries(report.checks.map((each) => [each.name, each.examined]));
    const count = async (table: string): Promise<number> =>
      (await sql.query(`SELECT count(*)::int AS n FROM ${table}`)).rows[0].n;
    expect(examined).toMatchObject({
      events: await count("events.log"),
      projects: await count("projects.projects"),
      tasks: await count("tasks.tasks"),
      comments: await count("tasks.comments"),
    });
  });

  test("is sound where a deleted task was cleared after its events were forgotten", async () => {
    const leaver = await node.api.person("leaver");
    const { id } = await makeProject(cast, { name: "Old" });
    await owner.api.must("POST", `/projects/${id}/members`, { user_id: leaver.id, role: "member" });
    const old = await owner.api.must("POST", `/projects/${id}/tasks`, {
      title: "Old",
      assigned_to: leaver.id,
    });
    await owner.api.must("DELETE", `/tasks/${old.id}`);
    await owner.api.must("POST", `/projects/${id}/tasks`, { title: "New" });
    await forget(`project:${id}`, 0.9);
    await leave(leaver);
    // As if the account had been erased an hour after the event that is kept.
    const { rows } = await sql.query(
      "UPDATE tasks.tasks SET updated_at = updated_at + interval '1 h' WHERE id = $1 RETURNING assigned_to",
      [old.id],
    );
    expect(rows).toEqual([{ assigned_to: null }]);
    expect(await check()).toEqual([]);
  });

  test("is sound where the place of a deleted task was moved with those of its neighbours", async () => {
    const { id } = await makeProject(cast, { name: "Crowded" });
    const { id: gone } = await owner.api.must("POST", `/projects/${id}/tasks`, { title: "Gone" });
    await owner.api.must("DELETE", `/tasks/${gone}`);
    await sql.query("UPDATE tasks.tasks SET position = repeat('a', 70) WHERE id = $1", [gone]);
    await tasks.call(node.broker, "spread_positions", {});
    const { rows } = await sql.query("SELECT position, version FROM tasks.tasks WHERE id = $1", [gone]);
    expect(rows).toEqual([{ position: expect.stringMatching(/^.{1,64}$/), version: 3 }]);
    expect(await check()).toEqual([]);
  });

  test("is sound while others write", async () => {
    let isOver = false;
    const write = async (): Promise<void> => {
      while (!isOver) {
        const { id } = await owner.api.must("POST", `/projects/${busy.id}/tasks`, { title: "Live" });
        await owner.api.must("PATCH", `/tasks/${id}`, { title: "Changed" });
        await owner.api.must("POST", `/tasks/${id}/comments`, { body: "Live" });
      }
    };
    const writing = Promise.all([write(), write(), write()]);
    try {
      for (let run = 0; run < 5; run++) expect(await check()).toEqual([]);
    } finally {
      isOver = true;
      await writing;
    }
  });

  test("is read by a connection that can't write, and is left alone after that", async () => {
    const audit = new Audit(node.config.DATABASE_URL, () => {});
    await audit.connect();
    const write = audit.query("DELETE FROM tasks.tasks");
    await expect(write).rejects.toThrow("cannot execute DELETE in a read-only transaction");
    await audit.end();
    const open = "SELECT FROM pg_stat_activity WHERE application_name = 'taskwire verify'";
    expect(await until(async () => (await sql.query(open)).rowCount === 0, 5000)).toBe(true);
  });
});

/** Triggers and foreign keys are off, as for somebody who repairs by hand. The undo restores what the table held. */
async function corrupted(statement: string, values: unknown[], tables: string[]): Promise<Finding[]> {
  for (const table of tables)
    await sql.query(`CREATE TABLE public.kept_${table.replace(".", "_")} AS TABLE ${table}`);
  await sql.query("SET session_replication_role = replica");
  try {
    await sql.query(statement, values);
    return await check();
  } finally {
    for (const table of tables) {
      const kept = `public.kept_${table.replace(".", "_")}`;
      const { rows } = await sql.query(
        `SELECT string_agg(quote_ident(attname), ', ') AS columns FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND attgenerated = '' AND NOT attisdropped`,
        [table],
      );
      const columns = rows[0].columns as string;
      await sql.query(
        `DELETE FROM ${table}; INSERT INTO ${table} (${columns}) SELECT ${columns} FROM ${kept}; DROP TABLE ${kept}`,
      );
    }
    await sql.query("SET session_replication_role = origin");
  }
}

const LOG = ["events.log", "events.streams"];
const stream = () => `project:${busy.id}`;
const ANY = "0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76";

describe("a corruption is found and named:", () => {
  const cases: [
    what: string,
    kind: Kind,
    sql: string,
    values: () => unknown[],
    tables: string[],
    named: () => string,
  ][] = [
    [
      "an event is missing",
      "hole in a stream",
      "DELETE FROM events.log WHERE stream = $1 AND seq = 5",
      () => [stream()],
      LOG,
      () => `${stream()}: 4 is followed by 6`,
    ],
    [
      "the last event is missing",
      "wrong head of a stream",
      "DELETE FROM events.log l USING events.streams s WHERE l.stream = $1 AND s.name = $1 AND l.seq = s.head",
      () => [stream()],
      LOG,
      () => `${stream()}: head is`,
    ],
    [
      "the head is behind",
      "wrong head of a stream",
      "UPDATE events.streams SET head = head - 1 WHERE name = $1",
      () => [stream()],
      LOG,
      () => `${stream()}: head is`,
    ],
    [
      "the last id is another one",
      "wrong head of a stream",
      "UPDATE events.streams SET last_id = $2 WHERE name = $1",
      () => [stream(), ANY],
      LOG,
      () => `${stream()}: last_id is ${ANY}`,
    ],
    [
      "the previous id is another one",
      "wrong head of a stream",
      "UPDATE events.streams SET previous_id = $2 WHERE name = $1",
      () => [stream(), ANY],
      LOG,
      () => `${stream()}: previous_id is ${ANY}`,
    ],
    [
      "a log is empty",
      "wrong head of a stream",
      "DELETE FROM events.log WHERE stream = $1",
      () => [`user:${cast.viewer.id}`],
      LOG,
      () => `user:${cast.viewer.id}: head is`,
    ],
    [
      "an event is doubled",
      "doubled event",
      "UPDATE events.log SET id = (SELECT id FROM events.log WHERE stream = $1 AND seq = 4) WHERE stream = $1 AND seq = 5",
      () => [stream()],
      LOG,
      () => `${stream()}: 4 and 5 are both`,
    ],
    [
      "a stream is missing",
      "events without a stream",
      "DELETE FROM events.streams WHERE name = $1",
      () => [stream()],
      LOG,
      () => stream(),
    ],
    [
      "a stream has no project",
      "stream without an owner",
      "INSERT INTO events.streams (name, head) VALUES ('project:' || $1, 1)",
      () => [ANY],
      LOG,
      () => `project:${ANY}`,
    ],
    [
      "a project was renamed",
      "project differs from its events",
      "UPDATE projects.projects SET name = 'By hand' WHERE id = $1",
      () => [busy.id],
      ["projects.projects"],
      () => `${busy.id}: name is "By hand", and "Launch" in the log`,
    ],
    [
      "a role was changed",
      "membership differs from its events",
      "UPDATE projects.members SET role = 'viewer' WHERE project_id = $1 AND user_id = $2",
      () => [busy.id, cast.manager.id],
      ["projects.members"],
      () => `${stream()}, user ${cast.manager.id}: role is "viewer", and "manager" in the log`,
    ],
    [
      "a member was removed",
      "membership differs from its events",
      "DELETE FROM projects.members WHERE project_id = $1 AND user_id = $2",
      () => [busy.id, cast.manager.id],
      ["projects.members"],
      () => `${stream()}, user ${cast.manager.id}: no member, and manager in the log`,
    ],
    [
      "a member came back",
      "membership differs from its events",
      "INSERT INTO projects.members VALUES ($1, $2, 'viewer', now())",
      () => [busy.id, cast.stranger.id],
      ["projects.members"],
      () => `${stream()}, user ${cast.stranger.id}: viewer, and removed in the log`,
    ],
    [
      "a member was added where the log is cut",
      "membership differs from its events",
      "INSERT INTO projects.members VALUES ($1, $2, 'viewer', now() + interval '1 day')",
      () => [cut.id, cast.boss.id],
      ["projects.members"],
      () => `project:${cut.id}, user ${cast.boss.id}: viewer, and never added in the log`,
    ],
    [
      "an owner is none",
      "project without an owner",
      "UPDATE projects.members SET role = 'manager' WHERE project_id = $1 AND user_id = $2",
      () => [busy.id, owner.id],
      ["projects.members"],
      () => busy.id,
    ],
    [
      "a project lost its stream",
      "project without a stream",
      "WITH gone AS (DELETE FROM events.log WHERE stream = $1) DELETE FROM events.streams WHERE name = $1",
      () => [stream()],
      LOG,
      () => busy.id,
    ],
    [
      "a title was changed",
      "task differs from its events",
      "UPDATE tasks.tasks SET title = 'By hand' WHERE id = $1",
      () => [task.id],
      ["tasks.tasks"],
      () => `${task.id} in ${stream()}: title is "By hand", and "Café" in the log`,
    ],
    [
      "a task was deleted",
      "task differs from its events",
      "UPDATE tasks.tasks SET deleted_at = '2026-11-26' WHERE id = $1",
      () => [task.id],
      ["tasks.tasks"],
      () => `${task.id} in ${stream()}: deleted_at is`,
    ],
    [
      "a task was unassigned in sight of all",
      "task differs from its events",
      "UPDATE tasks.tasks SET assigned_to = NULL, version = version + 1 WHERE id = $1",
      () => [task.id],
      ["tasks.tasks"],
      () => `${task.id} in ${stream()}: assigned_to is null`,
    ],
    [
      "a task was moved in sight of all",
      "task differs from its events",
      "UPDATE tasks.tasks SET position = 'z', version = version + 1 WHERE id = $1",
      () => [task.id],
      ["tasks.tasks"],
      () => `${task.id} in ${stream()}: position is "z"`,
    ],
    [
      "a task has no event",
      "task differs from its events",
      "INSERT INTO tasks.tasks (id, title, status, priority, project_id, created_by, created_at, updated_at) VALUES ($1, 'x', 'pending', 'low', $2, $3, now(), now())",
      () => [ANY, busy.id, owner.id],
      ["tasks.tasks"],
      () => `${ANY} in ${stream()}: the log has no event of it`,
    ],
    [
      "a task is missing",
      "task is gone",
      "DELETE FROM tasks.tasks WHERE id = $1",
      () => [task.id],
      ["tasks.tasks"],
      () => `${task.id} of ${stream()}`,
    ],
    [
      "a comment was changed",
      "comment differs from its events",
      "UPDATE tasks.comments SET body = 'By hand' WHERE id = $1",
      () => [comment.id],
      ["tasks.comments"],
      () => `${comment.id} in ${stream()}: body is "By hand", and "A word" in the log`,
    ],
    [
      "a comment is missing",
      "comment is gone",
      "DELETE FROM tasks.comments WHERE id = $1",
      () => [comment.id],
      ["tasks.comments"],
      () => `${comment.id} of task ${task.id}`,
    ],
    [
      "a user is missing",
      "dangling reference",
      "UPDATE tasks.tasks SET assigned_to = $2 WHERE id = $1",
      () => [task.id, ANY],
      ["tasks.tasks"],
      () => `tasks.tasks ${task.id}: assigned_to ${ANY} is not in users.users`,
    ],
    [
      "a member has no project",
      "dangling reference",
      "INSERT INTO projects.members VALUES ($1, $2, 'viewer', now())",
      () => [ANY, owner.id],
      ["projects.members"],
      () => `projects.members : project_id ${ANY} is not in projects.projects`,
    ],
    [
      "an answer is kept for too long",
      "overdue job",
      "UPDATE idempotency.keys SET kept_until = now() - interval '20 minutes' WHERE key = 'once'",
      () => [],
      ["idempotency.keys"],
      () => `an answer under an idempotency key of user ${owner.id} expired at`,
    ],
  ];

  test.each(cases)("%s", async (_what, kind, statement, values, tables, named) => {
    const found = await corrupted(statement, values(), tables);
    const finding = found.find((each) => each.kind === kind);
    expect({ found, named: finding?.named.some((text) => text.startsWith(named())) }).toEqual({
      found,
      named: true,
    });
  });

  test("a key is missing", async () => {
    await sql.query("ALTER TABLE idempotency.keys DROP CONSTRAINT keys_pkey");
    const found = await check();
    await sql.query("ALTER TABLE idempotency.keys ADD CONSTRAINT keys_pkey PRIMARY KEY (user_id, key)");
    expect(found).toEqual([
      {
        kind: "missing constraint",
        count: 1,
        named: ["ALTER TABLE idempotency.keys ADD CONSTRAINT keys_pkey PRIMARY KEY (user_id, key);"],
      },
    ]);
  });

  test("all kinds are shown by one of these", () => {
    const shown = new Set<string>(cases.map(([, kind]) => kind));
    expect(Object.keys(ADVICE).filter((kind) => !shown.has(kind))).toEqual(["missing constraint"]);
  });

  test("of many of a kind the first twenty are named, and the others counted", async () => {
    const found = await corrupted(
      "UPDATE tasks.tasks SET title = 'By hand' WHERE project_id = $1",
      [busy.id],
      ["tasks.tasks"],
    );
    const { count, named } = found.find(({ kind }) => kind === "task differs from its events") as Finding;
    expect(named).toHaveLength(20);
    const { rows } = await sql.query("SELECT FROM tasks.tasks WHERE project_id = $1", [busy.id]);
    expect(count).toBe(rows.length);
  });

  test("and what was corrupted is sound again", async () => {
    expect(await check()).toEqual([]);
  });
});

describe("npm run verify", () => {
  const run = (...args: string[]): Promise<{ code: number; out: string }> =>
    new Promise((resolve) =>
      execFile(
        process.execPath,
        ["scripts/verify.ts", ...args],
        { env: { ...process.env, DATABASE_URL: "" } },
        (error, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), out: stdout + stderr }),
      ),
    );

  test("ends with 0 and a table for a sound database", async () => {
    const { code, out } = await run(node.config.DATABASE_URL);
    expect({ code, out }).toEqual({
      code: 0,
      out: expect.stringMatching(/\ntasks +\d+ +0 +\d+\.\d\n[^]*\nSound\.\n$/),
    });
  });

  test("ends with 1, names the fault and says what to do", async () => {
    await sql.query("UPDATE tasks.comments SET body = 'By hand' WHERE id = $1", [comment.id]);
    const { code, out } = await run(node.config.DATABASE_URL);
    await sql.query("UPDATE tasks.comments SET body = 'A word' WHERE id = $1", [comment.id]);
    expect(code).toBe(1);
    expect(out).toContain(`comment differs from its events (1)\n  ${comment.id} in ${stream()}: body is`);
    expect(out).toContain(`  → ${ADVICE["comment differs from its events"]}`);
    expect(out).toMatch(/\n1 fault\.\n$/);
  });

  test.each([
    ["no database is named", [], /Set DATABASE_URL/],
    ["the database is not there", ["/nowhere"], /does not exist/],
    ["the database is empty", ["/postgres"], /lacks \d+ migrations/],
  ])("ends with 2 and one line when %s", async (_what, paths, line) => {
    const { code, out } = await run(...paths.map((path) => new URL(path, node.config.DATABASE_URL).href));
    expect(code).toBe(2);
    expect(out.trim()).toMatch(line);
    expect(out.trim().split("\n")).toHaveLength(1);
  });
});
