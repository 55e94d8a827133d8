import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { PageOf } from "../../core/pagination.ts";
import { type Queryable, SESSION, type Statement, types } from "../../mixins/database.ts";
import { listCategories } from "../../services/tasks/categories.queries.ts";
import { listComments } from "../../services/tasks/comments.queries.ts";
import { listPersonalTokens } from "../../services/auth/personal-tokens.queries.ts";
import { rotateRefreshToken } from "../../services/auth/sessions.commands.ts";
import { listSessions } from "../../services/auth/sessions.queries.ts";
import { listMembers } from "../../services/projects/members.queries.ts";
import { listProjects } from "../../services/projects/projects.list.ts";
import { lockDueSoon } from "../../services/tasks/batches.queries.ts";
import { findLast, findLong, findNeighbour } from "../../services/tasks/positions.queries.ts";
import type { TaskStatus } from "../../services/tasks/tasks.contract.ts";
import { listTasks, type TaskFilter } from "../../services/tasks/tasks.list.ts";
import { Totals } from "../../services/tasks/totals.ts";
import { countByStatus } from "../../services/tasks/tasks.queries.ts";
import { findInLog, forgetOldEvents, oldestToForget, redactLog } from "../../mixins/event-log.erasure.ts";
import { readLog, readLogPage } from "../../mixins/event-log.queries.ts";
import { projectStream } from "../../mixins/event-log.ts";
import { countWaiting } from "../../mixins/job-metrics.ts";
import { responsesAbout, redactResponses } from "../../mixins/idempotency.ts";
import { notIssued, revokedWithin } from "../../mixins/revocations.ts";
import { accessOf, projectStreams } from "../../services/notifier/notifier.queries.ts";
import { searchUsers } from "../../services/users/users.queries.ts";
import { freshDatabase } from "../support/database.ts";

let client: pg.Client;
const [mine, others] = [newId(), newId()];
const projects = Array.from({ length: 20 }, newId);
const [first = ""] = projects;
const [commented, category, creator] = [newId(), newId(), newId()];
const user: Actor = { id: mine, role: "user", session: newId() };
const manager: Actor = { ...user, role: "manager" };

/** 100,000 tasks: 10 projects that the caller is in, 10 that they are not, and personal ones of both. */
beforeAll(async () => {
  client = new pg.Client({ connectionString: await freshDatabase(), options: SESSION });
  await client.connect();
  const run = (text: string, ...values: unknown[]) => client.query(text, values);
  // Row by row these take most of the time.
  const { rows: indexes } = await client.query<{ def: string; name: string }>(
    `SELECT pg_get_indexdef(oid) AS def, oid::regclass AS name FROM pg_class
     WHERE oid IN ('tasks.tasks_words_idx'::regclass, 'users.users_names_idx'::regclass)`,
  );
  for (const { name } of indexes) await run(`DROP INDEX ${name}`);
  await run(
    `INSERT INTO users.users (id, email, username, password_hash, created_at, updated_at, email_key, username_key)
     SELECT id, id, id, '', now(), now(), id, id
     FROM unnest($1::uuid[] || ARRAY(SELECT gen_random_uuid() FROM generate_series(1, 2000))) AS id`,
    [mine, others, creator],
  );
  await run(
    `INSERT INTO projects.projects (id, slug, name, owner_id, created_at, updated_at)
     SELECT id, id, 'x', $2, now() - random() * interval '1 year', now()
     FROM unnest($1::uuid[] || ARRAY(SELECT gen_random_uuid() FROM generate_series(1, 5000))) AS id`,
    projects,
    others,
  );
  await run(
    `INSERT INTO projects.members
     SELECT p.id, u.id, 'member', now() - random() * interval '1 year'
     FROM unnest($1::uuid[]) AS p (id) CROSS JOIN (SELECT id FROM users.users WHERE id <> $2 LIMIT 500) u`,
    projects,
    mine,
  );
  await run(
    `INSERT INTO projects.members SELECT id, $2, 'member', now() FROM unnest($1::uuid[]) AS id`,
    projects.slice(0, 10),
    mine,
  );
  await run(
    `INSERT INTO tasks.categories (id, user_id, name, color, created_at, updated_at, name_key)
     VALUES ($1, $2, 'mine', '#000000', now(), now(), 'mine')`,
    category,
    mine,
  );
  await run(
    `INSERT INTO tasks.tasks (id, title, status, priority, project_id, created_by, assigned_to, category_id, due_date,
                              created_at, updated_at)
     SELECT CASE WHEN n = 1 THEN $4::uuid ELSE gen_random_uuid() END,
            'word' || n % 1000 || CASE WHEN n % 3 = 0 THEN ' some' ELSE ' any' END || ' more text',
            CASE WHEN n % 7 = 0 THEN 'pending' ELSE 'completed' END, CASE WHEN n % 9 = 0 THEN 'urgent' ELSE 'low' END,
            CASE WHEN n % 25 < 20 THEN ($1::uuid[])[1 + n % 25] END,
            CASE WHEN n % 500 = 24 THEN $2::uuid WHEN n % 500 = 1 THEN $6::uuid ELSE $3::uuid END,
            CASE WHEN n % 300 = 0 THEN $2::uuid END,
            CASE WHEN n % 1000 = 2 THEN $5::uuid END,
            CASE WHEN n % 3 = 0 THEN now() + (random() - 0.5) * interval '1 year' END,
            -- In the order of their rows, as tasks come: what an index in that order seems cheap for.
            now() - (100000 - n) * interval '5 minutes', now() - random() * interval '1 month'
     FROM generate_series(1, 100000) AS n`,
    projects,
    mine,
    others,
    commented,
    category,
    creator,
  );
  await run(
    `INSERT INTO tasks.comments (id, task_id, author_id, body, created_at, updated_at)
     SELECT gen_random_uuid(), id, $1, 'x', now() - random() * interval '1 year', now()
     FROM tasks.tasks CROSS JOIN generate_series(1, 20) LIMIT 20000`,
    mine,
  );
  await run(
    `INSERT INTO tasks.categories (id, user_id, name, color, created_at, updated_at, name_key)
     SELECT gen_random_uuid(), id, 'c' || n, '#000000', now(), now(), 'c' || n
     FROM (SELECT id FROM users.users LIMIT 500) u CROSS JOIN generate_series(1, 20) AS n`,
  );
  await run(
    `INSERT INTO auth.sessions (id, user_id, created_at)
     SELECT gen_random_uuid(), id, now() FROM users.users CROSS JOIN generate_series(1, 5)`,
  );
  await run(
    `INSERT INTO auth.personal_tokens (id, user_id, name, scope, hash, created_at)
     SELECT gen_random_uuid(), id, 't', 'read', sha256((id::text || n)::bytea), now()
     FROM users.users CROSS JOIN generate_series(1, 5) AS n`,
  );
  await run(
    "INSERT INTO events.streams (name, head, last_id) VALUES ($1, 50000, gen_random_uuid())",
    `project:${first}`,
  );
  await run(
    `INSERT INTO events.log (stream, seq, id, type, time, data)
     SELECT $1, n, gen_random_uuid(), 'task_updated', now(), json_build_object('task', json_build_object('id', gen_random_uuid()))
     FROM generate_series(1, 50000) AS n`,
    `project:${first}`,
  );
  await run(
    `INSERT INTO events.streams (name, head, oldest_at)
     SELECT 'user:' || gen_random_uuid(), 0, 'infinity' FROM generate_series(1, 20000)`,
  );
  // An hour's finished jobs, and a few that wait.
  await run(
    `INSERT INTO jobs.queue (name, policy, retry_limit, retry_delay, retry_backoff, expire_seconds, retention_seconds,
                             deletion_seconds, partition, table_name)
     SELECT name, 'standard', 2, 0, false, 60, 60, 60, false, 'job_common' FROM unnest(ARRAY['mail', 'purge']) AS name`,
  );
  await run(
    `INSERT INTO jobs.job (name, state) SELECT 'mail', CASE WHEN n % 500 = 0 THEN 'created' ELSE 'completed' END::jobs.job_state
     FROM generate_series(1, 20000) AS n`,
  );
  // A day's answers, most of them under keys of clients.
  await run(
    `INSERT INTO idempotency.keys (user_id, key, fingerprint, response, kept_until)
     SELECT $1, n, '', json_build_object('id', gen_random_uuid(), 'title', repeat('x', 200)), now() + n * interval '1.7 s'
     FROM generate_series(1, 50000) AS n`,
    mine,
  );
  await run(
    `INSERT INTO auth.refresh_tokens (hash, session_id, expires_at)
     SELECT sha256(id::text::bytea), id, now() + interval '1 day' FROM auth.sessions`,
  );
  await run(
    `INSERT INTO users.users (id, email, username, first_name, last_name, password_hash, created_at, updated_at,
                              email_key, username_key)
     SELECT gen_random_uuid(), md5(n::text) || '@example.com', md5(n::text), md5('f' || n), md5('l' || n), '', now(), now(),
            md5(n::text) || '@example.com', md5(n::text)
     FROM generate_series(1, 100000) AS n`,
  );
  // Passwords change: of 1,000 accounts at some time, of few within the last minute.
  await run(
    `UPDATE users.users SET sessions_generation = 2, sessions_ended_at = now() - random() * interval '30 days'
     WHERE id IN (SELECT id FROM users.users LIMIT 1000)`,
  );
  await run(
    `UPDATE auth.sessions SET revoked_at = now() - random() * interval '30 days' WHERE id IN (SELECT id FROM auth.sessions LIMIT 5000)`,
  );
  await run(
    `UPDATE auth.personal_tokens SET revoked_at = now() - random() * interval '30 days'
     WHERE id IN (SELECT id FROM auth.personal_tokens LIMIT 2000)`,
  );
  for (const { def } of indexes) await run(def);
  await run("VACUUM ANALYZE");
});
afterAll(() => client?.end());

interface Plan {
  "Node Type": string;
  "Shared Hit Blocks": number;
  "Shared Read Blocks": number;
  "Relation Name"?: string;
  "Index Name"?: string;
  Plans?: Plan[];
}

const nodes = (plan: Plan): Plan[] => [plan, ...(plan.Plans ?? []).flatMap(nodes)];

/** How Postgres runs the one statement that `read` sends, without what it changes. */
async function planOf(read: (db: Queryable) => Promise<unknown>): Promise<Plan[]> {
  const sent: Statement[] = [];
  const stopped = new Error("only looked at");
  const db: Queryable = {
    query: (statement) => {
      sent.push(statement);
      return Promise.reject(stopped);
    },
  };
  await expect(read(db)).rejects.toBe(stopped);
  const [{ text, values = [] }] = sent as [Statement];
  await client.query("BEGIN");
  try {
    const { rows } = await client.query<{ "QUERY PLAN": [{ Plan: Plan }] }>(
      `EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) ${text}`,
      values,
    );
    return nodes(rows[0]!["QUERY PLAN"][0].Plan);
  } finally {
    await client.query("ROLLBACK");
  }
}

const offset: PageOf = { limit: 20, offset: 0 };
const cursor = (...position: string[]): PageOf => ({
  limit: 20,
  cursor: JSON.stringify([...position, commented]),
});
const placed = { id: newId(), project_id: first, created_by: mine, position: "8" };
const middle = "2026-06-01 00:00:00+00";
const urgent: PageOf = { limit: 20, cursor: "", sort: "-priority" };
const inDays = (days: number): string => new Date(Date.now() + days * 86_400_000).toISOString();
const tasks =
  (filter: TaskFilter, page: PageOf = offset, actor = user) =>
  (db: Queryable) =>
    listTasks(db, actor, filter, page);

/** Buffers of 8 kB that a statement may touch: a page of a list, and what leads to its rows. */
const FEW = 300;
/** The same where rows of many projects, or some thousand, are looked at. */
const SOME = 3000;
/** The same where 10,000 of 100,000 are, each by its id. */
const MANY = 80_000;

test.each<[string, (db: Queryable) => Promise<unknown>, string[], number?]>([
  ["a project's tasks", tasks({ project: first }), ["tasks_project_created_idx"]],
  ["the same from a cursor", tasks({ project: first }, cursor(middle)), ["tasks_project_created_idx"]],
  [
    "the same by due date",
    tasks({ project: first }, { ...offset, sort: "due_date" }),
    ["tasks_project_due_idx"],
  ],
  [
    "the same by last change, from a cursor",
    tasks({ project: first }, { ...cursor(middle), sort: "-updated_at" }),
    ["tasks_project_updated_idx"],
  ],
  ["a project's tasks of a status", tasks({ project: first, status: ["pending"] }), ["tasks_column_idx"]],
  [
    "a project's tasks in their order",
    tasks({ project: first }, { ...offset, sort: "position" }),
    ["tasks_position_idx"],
  ],
  ["what is urgent in a project", tasks({ project: first }, urgent), ["tasks_project_priority_idx"]],
  ["what is urgent anywhere", tasks({}, urgent), ["tasks_project_priority_idx"], SOME],
  [
    "what is due in a day",
    tasks({ due_date_from: inDays(0), due_date_to: inDays(1) }),
    ["tasks_project_due_idx"],
    SOME,
  ],
  [
    "what is due, in that order",
    tasks({ due_date_from: inDays(0) }, { limit: 20, cursor: "", sort: "due_date" }),
    ["tasks_project_due_idx"],
    SOME,
  ],
  ["what is overdue in a project", tasks({ project: first, overdue: true }), ["tasks_open_due_idx"]],
  ["what is overdue anywhere", tasks({ overdue: true }), ["tasks_open_due_idx"], SOME],
  [
    "what somebody created",
    tasks({ created_by: creator }),
    ["tasks_creator_idx", "tasks_personal_idx"],
    SOME,
  ],
  ["what the caller created", tasks({ created_by: mine }), ["tasks_creator_idx", "tasks_personal_idx"], SOME],
  [
    "what somebody created, for a manager",
    tasks({ created_by: creator }, offset, manager),
    ["tasks_creator_idx", "tasks_personal_idx"],
    SOME,
  ],
  ["what is in a category", tasks({ category_id: category }), ["tasks_category_idx"]],
  [
    "a column in its order, from a cursor",
    tasks({ project: first, status: ["pending"] }, { ...cursor("8"), sort: "position" }),
    ["tasks_column_idx"],
  ],
  [
    "what a task moves next to",
    (db) => findNeighbour(db, placed, newId(), "before"),
    ["tasks_pkey", "tasks_position_idx"],
  ],
  [
    "the end of a column",
    (db) => findLast(db, placed, "pending"),
    ["tasks_column_idx", "tasks_position_idx"],
  ],
  [
    "what a personal task moves next to",
    (db) => findNeighbour(db, { ...placed, project_id: null }, newId(), "after"),
    ["tasks_pkey", "tasks_personal_position_idx"],
  ],
  [
    "the end of a personal column",
    (db) => findLast(db, { ...placed, project_id: null }, "pending"),
    ["tasks_personal_position_idx"],
  ],
  ["long positions", findLong, ["tasks_long_position_idx"]],
  [
    "all tasks that a user may see",
    tasks({}),
    ["tasks_project_created_idx", "tasks_personal_idx", "tasks_personal_assigned_idx"],
    SOME,
  ],
  [
    "the same from a cursor",
    tasks({}, cursor(middle)),
    ["tasks_project_created_idx", "tasks_personal_idx", "tasks_personal_assigned_idx"],
    // 316 where the rows are read of all 210 tasks that it looks at, 160 where of the page's 21 alone.
    240,
  ],
  [
    "what is personal",
    tasks({ project_id: "none" }),
    ["tasks_personal_idx", "tasks_personal_assigned_idx"],
    SOME,
  ],
  ["what is assigned to me", tasks({ assigned_to: "me" }), ["tasks_assigned_idx"], SOME],
  [
    "all tasks that a manager may see, from a cursor",
    tasks({}, cursor(middle), manager),
    ["tasks_created_idx"],
  ],
  ["a search", tasks({ q: "word77" }), ["tasks_words_idx"], SOME],
  ["a search for a beginning", tasks({ q: "word77 mor" }), ["tasks_words_idx"], SOME],
  ["a search for a link", tasks({ q: "https://example.com/a/77" }), ["tasks_words_idx"]],
  ["a search for Japanese text", tasks({ q: "日本語" }), ["tasks_words_idx"]],
  ["a search among what is not archived", tasks({ q: "word77", archived: false }), ["tasks_words_idx"], SOME],
  [
    "what is assigned to me and not archived",
    tasks({ assigned_to: "me", archived: false }),
    ["tasks_assigned_idx"],
    SOME,
  ],
  ["a search in a project", tasks({ q: "word77", project: first }), ["tasks_words_idx"], SOME],
  ["a search for a common word", tasks({ q: "some" }), ["tasks_words_idx"], MANY],
  [
    "the same, newest first",
    tasks({ q: "some" }, { limit: 20, cursor: "", sort: "-created_at" }),
    ["tasks_project_created_idx"],
    SOME,
  ],
  ["the same for a manager", tasks({ q: "some" }, offset, manager), ["tasks_created_idx"], MANY],
  [
    "what the log tells of a task",
    (db) => redactLog(db, { kind: "task", id: commented, texts: { title: "", description: null } }),
    ["log_thing_idx"],
  ],
  [
    "what the log tells of a deleted comment",
    (db) => findInLog(db, { kind: "comment", id: commented }),
    ["log_thing_idx"],
  ],
  [
    "a piece of the answers that may tell of a task",
    (db) => responsesAbout(db, commented, mine),
    ["keys_kept_until_idx"],
    SOME,
  ],
  [
    "the answers that tell of a task, under its lock",
    (db) => redactResponses(db, commented, {}, { since: new Date().toISOString(), keys: [] }),
    ["keys_pkey", "keys_kept_until_idx"],
  ],
  ["a task's comments", (db) => listComments(db, user, commented, offset), ["comments_task_idx"]],
  ["somebody's categories", (db) => listCategories(db, mine, offset), ["categories_name_key"]],
  ["somebody's projects", (db) => listProjects(db, user, {}, offset), ["members_user_idx"]],
  [
    "all projects, from a cursor",
    (db) => listProjects(db, manager, {}, cursor(middle)),
    ["projects_created_idx"],
  ],
  ["people", (db) => searchUsers(db, user, "ada love", offset), ["users_names_idx"]],
  ["a project's members", (db) => listMembers(db, user, first, offset), ["members_joined_idx"]],
  [
    "a project's log",
    (db) =>
      readLog(db, { stream: `project:${first}`, after: { seq: 40_000, id: null }, upTo: 50_000, limit: 20 }),
    ["log_pkey"],
  ],
  [
    "a page of a project's log",
    (db) =>
      readLogPage(db, {
        stream: `project:${first}`,
        after: { seq: 40_000, id: mine },
        upTo: 50_000,
        limit: 20,
        caller: mine,
      }),
    ["log_pkey"],
  ],
  [
    "what a user may read, and where the streams are",
    (db) => accessOf(db, user, projects.map(projectStream)),
    ["streams_pkey", "projects_pkey"],
  ],
  [
    "what a manager may read, and where the streams are",
    (db) => accessOf(db, manager, projects.map(projectStream)),
    ["streams_pkey", "projects_pkey"],
  ],
  [
    "the streams of a socket",
    (db) => projectStreams(db, user, 5000),
    ["streams_pkey", "members_user_idx", "projects_pkey"],
  ],
  ["the oldest event to forget, of many streams", oldestToForget, ["streams_oldest_idx", "log_pkey"]],
  ["old events, where none is", (db) => forgetOldEvents(db, inDays(-1)), ["streams_oldest_idx", "log_pkey"]],
  ["jobs that wait", countWaiting, ["job_common_i11"]],
  [
    "somebody's sessions",
    (db) => listSessions(db, { userId: mine, current: user.session }, offset),
    ["sessions_user_idx"],
  ],
  [
    "what ended lately, which each gateway and notifier asks every second",
    (db) => revokedWithin(db, 61_000),
    [
      "sessions_revoked_idx",
      "personal_tokens_revoked_idx",
      "users_sessions_ended_idx",
      "sessions_user_idx",
      "personal_tokens_user_idx",
    ],
  ],
  [
    "which sessions are there",
    (db) => notIssued(db, [user.session, mine]),
    ["sessions_pkey", "personal_tokens_pkey"],
  ],
  ["somebody's tokens", (db) => listPersonalTokens(db, mine, offset), ["personal_tokens_user_idx"]],
  [
    "the exchange of a refresh token",
    (db) => rotateRefreshToken(db, "x", 60),
    ["refresh_tokens_pkey", "sessions_pkey", "users_pkey"],
  ],
  ["a project's counts", (db) => countByStatus(db, first, mine, new Totals()), []],
  [
    "what is due soon",
    (db) => lockDueSoon(db, new Date(Date.now() + 86_400_000).toISOString(), 100),
    ["tasks_due_soon_idx"],
  ],
])("%s: one query, by its index, in few buffers", async (_, read, expected, most = FEW) => {
  const plan = await planOf(read);
  const scanned = plan.filter(
    (node) =>
      node["Node Type"] === "Seq Scan" &&
      [
        "tasks",
        "comments",
        "categories",
        "members",
        "log",
        "sessions",
        "refresh_tokens",
        "personal_tokens",
        "users",
        "keys",
        "streams",
        "job_common",
      ].includes(node["Relation Name"] ?? ""),
  );
  expect(scanned).toEqual([]);
  const used = plan.map((node) => node["Index Name"]);
  expect(used).toEqual(expect.arrayContaining(expected));
  const [{ "Shared Hit Blocks": hit, "Shared Read Blocks": missed }] = plan as [Plan];
  expect(hit + missed).toBeLessThan(most);
});

// Of seven times; the first five times Postgres looks what plans for their values cost.
test.each<[string, (db: Queryable) => Promise<unknown>, number]>([
  ["a project's tasks", tasks({ project: first }, { limit: 20, cursor: "" }), 5],
  ["… from a cursor", tasks({ project: first }, cursor(middle)), 5],
  ["… five of them", tasks({ project: first }, { limit: 5, cursor: "" }), 5],
  ["ten of all tasks that a user may see", tasks({}, { limit: 10, cursor: "" }), 5],
  ["… with the total, second page", tasks({ project: first }, { limit: 20, offset: 20 }), 5],
  ["what is urgent in a project", tasks({ project: first }, urgent), 5],
  ["all tasks that a user may see, from a cursor", tasks({}, cursor(middle)), 5],
  ["all tasks that a manager may see", tasks({}, { limit: 20, cursor: "" }, manager), 5],
  [
    "a status, newest first: three tasks, or most",
    tasks({ project: first, status: ["pending"] }, { limit: 20, cursor: "" }),
    7,
  ],
])("%s: plans that Postgres makes for pages", async (_, read, expected) => {
  let name = "";
  const db = {
    query: async ({ text, values, ...statement }: Statement) => {
      name = statement.name as string;
      return (await client.query({ name, text, values: values ?? [], types })).rows as object[];
    },
  } as Queryable;
  for (let time = 0; time < 7; time++) await read(db);
  const { rows } = await client.query<{ custom_plans: string }>(
    "SELECT custom_plans::text FROM pg_prepared_statements WHERE name = $1",
    [name],
  );
  expect(rows).toEqual([{ custom_plans: String(expected) }]);
});

test("the oldest event to forget is found among 20,000 streams, and the last one of a stream is none", async () => {
  await client.query(
    "INSERT INTO events.streams (name, head) VALUES ('user:a', 1), ('user:~old', 2), ('user:~young', 2)",
  );
  await client.query(
    `INSERT INTO events.log (stream, seq, id, type, time, data)
     SELECT stream, seq, gen_random_uuid(), 'task_updated', time::timestamptz, '{}'
     FROM (VALUES ('user:a', 1, '2000-01-01Z'), ('user:~old', 1, '2001-01-01Z'), ('user:~old', 2, '2000-01-01Z'),
                  ('user:~young', 1, '2002-01-01Z'), ('user:~young', 2, '2002-01-01Z')) AS e (stream, seq, time)`,
  );
  const db = {
    query: async ({ text, values = [] }: Statement) => (await client.query(text, values)).rows,
  } as Queryable;
  expect(new Date((await oldestToForget(db)) as string).toISOString()).toBe("2001-01-01T00:00:00.000Z");
});

test("a total that was counted before is not counted again while the project's stream stands still", async () => {
  const totals = new Totals();
  const page =
    (status: TaskStatus, limit = 20) =>
    (db: Queryable) =>
      listTasks(db, user, { project: first, status: [status] }, { limit, offset: 0 }, totals);
  const db = {
    query: async ({ text, values = [] }: Statement) =>
      (await client.query({ text, values, types })).rows as object[],
  } as Queryable;
  const touched = async (): Promise<number> => {
    const [{ "Shared Hit Blocks": hit, "Shared Read Blocks": missed }] = (await planOf(
      page("completed"),
    )) as [Plan];
    return hit + missed;
  };
  const counting = await touched();
  const { total } = await page("completed")(db);
  expect(await touched()).toBeLessThan(counting - 10);
  expect((await page("completed", 1)(db)).total).toBe(total);

  await client.query("BEGIN");
  try {
    await client.query(
      `UPDATE tasks.tasks SET status = 'pending' WHERE id IN (
         SELECT id FROM tasks.tasks WHERE project_id = $1 AND status = 'completed' LIMIT 3)`,
      [first],
    );
    await client.query("UPDATE events.streams SET head = head + 1, last_id = $2 WHERE name = $1", [
      `project:${first}`,
      newId(),
    ]);
    expect((await page("completed")(db)).total).toBe((total as number) - 3);
  } finally {
    await client.query("ROLLBACK");
  }
  // The same place again, after what was not committed.
  expect((await page("completed")(db)).total).toBe(total);
});
