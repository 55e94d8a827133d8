import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import { setImmediate } from "node:timers/promises";
import { ServiceBroker, type ServiceSchema } from "moleculer";
import pg from "pg";
import type { Config } from "../../core/config.ts";
import { Problem, PROBLEMS } from "../../core/errors.ts";
import { until } from "../../local/until.ts";
import { JobQueues } from "../../mixins/job-queues.ts";
import { brokerOptions } from "../../moleculer.config.ts";
import jobsService from "../../services/jobs/jobs.service.ts";
import type { SchedulerOptions } from "../../services/jobs/scheduler-options.ts";
import projectsService from "../../services/projects/projects.service.ts";
import tasksService from "../../services/tasks/tasks.service.ts";
import usersService from "../../services/users/users.service.ts";
import type { Person, Wire } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { freshDatabase } from "../support/database.ts";
import { gateTo } from "../support/gate.ts";
import { startTestNode, testConfig, type TestNode } from "../support/node.ts";

const FAST: Partial<SchedulerOptions> = {
  pollSeconds: 0.5,
  retryDelaySeconds: 1,
  maxRetryDelaySeconds: 1,
  graceMs: 1000,
};
const HOUR = 3_600_000;

const inHours = (hours: number): string => new Date(Date.now() + hours * HOUR).toISOString();

/** What must end after each test, the newest first. */
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function waitFor(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  if (!(await until(condition, 15_000))) throw new Error(`waited in vain for ${what}`);
}

interface JobsNode {
  /** Its warnings and errors, a line each. */
  log: string[];
  stop(): Promise<void>;
}

interface Options extends Partial<SchedulerOptions> {
  /** What its jobs call: the real ones, unless said. */
  services?: (config: Config) => ServiceSchema[];
}

const real = (config: Config) => [usersService(config), projectsService(config), tasksService(config)];

let started = 0;

/** A node that runs jobs beside the services that they call. */
async function startJobs(
  DATABASE_URL: string,
  { services = real, ...options }: Options = {},
): Promise<JobsNode> {
  const config = { ...testConfig(DATABASE_URL), NODE_ID: `jobs-${++started}` };
  const broker = new ServiceBroker(brokerOptions(config, false));
  for (const schema of services(config)) broker.createService(schema);
  const service = broker.createService(jobsService(config, { ...FAST, ...options }));
  const log: string[] = [];
  const keep = (...args: unknown[]) => void log.push(args.map(String).join(" "));
  Object.assign(service.logger, { warn: keep, error: keep });
  await broker.start();
  let stopped: Promise<void> | undefined;
  const stop = () => (stopped ??= broker.stop());
  cleanups.push(stop);
  return { log, stop };
}

/** pg-boss as one more node has it, which runs no jobs. */
function openQueue(DATABASE_URL: string): JobQueues {
  const log = { warn: () => {}, error: () => {} };
  const config = { ...testConfig(DATABASE_URL), NODE_ID: "test" };
  return new JobQueues(config, { label: "test", log, graceMs: 1000, setUp: async () => {} });
}

/** Makes a job due now, unless it is. @returns its run's id; null when it waits or runs already */
async function send({ pgBoss }: JobQueues, name: string): Promise<string | null> {
  await waitFor(async () => (await pgBoss.getQueue(name).catch(() => null)) !== null, "the queue");
  return pgBoss.send(name, null);
}

const stateOf = async ({ pgBoss }: JobQueues, name: string, id: string): Promise<string | undefined> =>
  (await pgBoss.findJobs(name, { id }))[0]?.state;

/** Makes a job due, and waits until its run has ended. */
async function runJob(queue: JobQueues, name: string): Promise<void> {
  let id: string | null = null;
  await waitFor(async () => (id = await send(queue, name)) !== null, `a turn for ${name}`);
  await waitFor(async () => (await stateOf(queue, name, String(id))) === "completed", `the end of ${name}`);
}

describe("with all services", () => {
  let node: TestNode;
  let sql: pg.Client;
  let queue: JobQueues;
  let ada: Person;
  let ben: Person;
  beforeAll(async () => {
    node = await startTestNode();
    sql = new pg.Client({ connectionString: node.config.DATABASE_URL });
    await sql.connect();
    queue = openQueue(node.config.DATABASE_URL);
    [ada, ben] = (await Promise.all([node.api.person("ada"), node.api.person("ben")])) as [Person, Person];
  });
  afterAll(async () => {
    await queue?.stop();
    await sql?.end();
    await node?.stop();
  });

  beforeEach(async () => {
    await Promise.all([startJobs(node.config.DATABASE_URL), startJobs(node.config.DATABASE_URL)]);
  });

  const project = async (name: string): Promise<Wire> => {
    const made = await ada.api.must("POST", "/projects", { name });
    await ada.api.must("POST", `/projects/${made.id}/members`, { user_id: ben.id, role: "member" });
    return made;
  };
  const task = (in_: Wire, title: string, more: object = {}): Promise<Wire> =>
    ada.api.must("POST", `/projects/${in_.id}/tasks`, { title, ...more });
  const count = async (from: string, ...values: unknown[]): Promise<number> =>
    (await sql.query(`SELECT count(*)::int AS count FROM ${from}`, values)).rows[0].count;

  test("a task that is due soon is told of once, for each due date, and is not changed by it", async () => {
    const launch = await project("Launch");
    const due = await task(launch, "Soon", { due_date: inHours(2), assigned_to: ben.id });
    await task(launch, "Later", { due_date: inHours(48) });
    await task(launch, "Past", { due_date: inHours(-1) });
    const done = await task(launch, "Done", { due_date: inHours(2) });
    await ada.api.must("POST", `/tasks/${done.id}/transitions`, { to: "completed" });
    const gone = await task(launch, "Gone", { due_date: inHours(2) });
    await ada.api.must("DELETE", `/tasks/${gone.id}`);
    const shelf = await project("Shelf");
    await task(shelf, "Shelved", { due_date: inHours(2) });
    await ada.api.must("PATCH", `/projects/${shelf.id}`, { status: "archived" });

    const told = async (): Promise<Wire[]> =>
      (
        await sql.query(
          `SELECT stream, actor_id, data #>> '{task,id}' AS task, data #>> '{task,due_date}' AS due FROM events.log
           WHERE type = 'task_due_soon' AND stream = ANY ($1) ORDER BY seq`,
          [[`project:${launch.id}`, `project:${shelf.id}`]],
        )
      ).rows;
    const event = { stream: `project:${launch.id}`, actor_id: null, task: due.id, due: due.due_date };
    for (let n = 0; n < 5; n++) await runJob(queue, "announce-due");
    expect(await told()).toEqual([event]);
    const { version, updated_at } = await ada.api.must("GET", `/tasks/${due.id}`);
    expect({ version, updated_at }).toEqual({ version: due.version, updated_at: due.updated_at });

    const moved = await ada.api.must("PATCH", `/tasks/${due.id}`, { due_date: inHours(3) });
    for (let n = 0; n < 2; n++) await runJob(queue, "announce-due");
    expect(await told()).toEqual([event, { ...event, due: moved.due_date }]);
  });

  test("of more than a hundred tasks that are due soon, one run tells of all", async () => {
    const { id: project_id } = await project("Many");
    const operations = Array.from({ length: 75 }, () => ({
      op: "create",
      title: "Soon",
      project_id,
      due_date: inHours(2),
    }));
    for (let n = 0; n < 2; n++) await ada.api.must("POST", "/tasks/bulk", { operations });
    await runJob(queue, "announce-due");
    expect(
      await count("events.log WHERE stream = $1 AND type = 'task_due_soon'", `project:${project_id}`),
    ).toBe(150);
  });

  test("long positions become short, by events after each of which the order is the same", async () => {
    const board = await project("Crowded");
    await sql.query(
      `INSERT INTO tasks.tasks (id, title, status, priority, project_id, created_by, created_at, updated_at, deleted_at, position)
       SELECT gen_random_uuid(), n, 'pending', 'low', CASE WHEN n < 200 THEN $1::uuid END, $2, now(), now(),
              CASE WHEN n = 5 THEN now() END,
              CASE WHEN n IN (0, 131) THEN 'a' || n ELSE 'a0' || repeat('z', 70) || lpad(n::text, 3, '0') END
       FROM unnest(ARRAY(SELECT generate_series(0, 131)) || 200) AS n`,
      [board.id, ada.id],
    );
    const read = async (): Promise<Wire[]> =>
      (
        await sql.query(
          `SELECT id, position, version FROM tasks.tasks WHERE project_id = $1 OR title = '200' ORDER BY project_id, position`,
          [board.id],
        )
      ).rows;
    const before = await read();
    await runJob(queue, "spread-positions");
    const after = await read();
    expect(after.map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(after.map(({ version }) => version)).toEqual(
      before.map(({ position }) => (position.length > 64 ? 2 : 1)),
    );
    expect(Math.max(...after.map(({ position }) => position.length))).toBeLessThanOrEqual(64);

    const { rows: told } = await sql.query(
      `SELECT actor_id, data FROM events.log WHERE type = 'task_moved' AND stream = $1 ORDER BY seq`,
      [`project:${board.id}`],
    );
    // All but the personal one, the deleted one, and the two that were short.
    expect(told).toHaveLength(129);
    const seen = before.filter(({ position }) => !/z(200|005)$/.test(position));
    const positions = new Map(seen.map(({ id, position }) => [id as string, position as string]));
    const ids = [...positions.keys()];
    for (const { actor_id, data } of told) {
      const { id, position } = data.task;
      expect([actor_id, data.changes]).toEqual([
        null,
        { position: { old: positions.get(id), new: position } },
      ]);
      positions.set(id, position);
      expect([...positions].sort(([, a], [, b]) => (a < b ? -1 : 1)).map(([one]) => one)).toEqual(ids);
    }
  });

  test("what was deleted before the retention is gone for good, and what was later can be restored", async () => {
    const { RETENTION_DAYS } = node.config;
    const kept = await project("Kept");
    const [old, young, live] = (await Promise.all(
      ["Old", "Young", "Live"].map((title) => task(kept, title)),
    )) as [Wire, Wire, Wire];
    for (const { id } of [old, young, live])
      await ben.api.must("POST", `/tasks/${id}/comments`, { body: "A word" });
    const [dead, recent] = (await Promise.all([project("Dead"), project("Recent")])) as [Wire, Wire];
    for (const each of [dead, recent]) {
      const { id } = await task(each, "Its task");
      await ben.api.must("POST", `/tasks/${id}/comments`, { body: "A word" });
    }
    for (const { id } of [old, young]) await ada.api.must("DELETE", `/tasks/${id}`);
    for (const { id } of [dead, recent]) await ada.api.must("DELETE", `/projects/${id}`);
    const ago = async (table: string, id: string, days: number) =>
      sql.query(`UPDATE ${table} SET deleted_at = $2 WHERE id = $1`, [id, inHours(-24 * days)]);
    await ago("tasks.tasks", old.id, RETENTION_DAYS + 1);
    await ago("tasks.tasks", young.id, RETENTION_DAYS - 1);
    await ago("projects.projects", dead.id, RETENTION_DAYS + 1);
    await ago("projects.projects", recent.id, RETENTION_DAYS - 1);

    await runJob(queue, "purge-deleted");

    expect((await ada.api.post(`/tasks/${old.id}/restore`)).status).toBe(404);
    expect(await count("tasks.tasks WHERE id = $1", old.id)).toBe(0);
    expect(await count("tasks.comments WHERE task_id = $1", old.id)).toBe(0);
    expect((await ada.api.post(`/projects/${dead.id}/restore`)).status).toBe(404);
    for (const table of [
      "projects.projects WHERE id",
      "projects.members WHERE project_id",
      "tasks.tasks WHERE project_id",
    ])
      expect([table, await count(`${table} = $1`, dead.id)]).toEqual([table, 0]);
    for (const table of ["events.log WHERE stream", "events.streams WHERE name"])
      expect([table, await count(`${table} = $1`, `project:${dead.id}`)]).toEqual([table, 0]);

    await ada.api.must("POST", `/tasks/${young.id}/restore`);
    await ada.api.must("POST", `/projects/${recent.id}/restore`);
    for (const { id } of [young, live])
      expect((await ben.api.must("GET", `/tasks/${id}/comments`)).total).toBe(1);
    expect((await ben.api.must("GET", `/projects/${recent.id}/tasks`)).total).toBe(1);
    expect(await count("events.log WHERE stream = $1", `project:${recent.id}`)).toBeGreaterThan(3);
  });

  describe("of projects that were deleted long ago", () => {
    const dead = async (name: string): Promise<Wire> => {
      const made = await project(name);
      await ada.api.must("DELETE", `/projects/${made.id}`);
      await sql.query("UPDATE projects.projects SET deleted_at = '2001-01-01' WHERE id = $1", [made.id]);
      return made;
    };
    const isThere = async ({ id }: Wire): Promise<boolean> =>
      (await count("projects.projects WHERE id = $1", id)) > 0;

    test("a long log goes in pieces, none of which takes long", async () => {
      const big = await dead("Big");
      await sql.query(
        `WITH stream AS (UPDATE events.streams SET head = head + 12000 WHERE name = $1 RETURNING name, head)
         INSERT INTO events.log (stream, seq, id, type, time, data)
         SELECT name, head - n, gen_random_uuid(), 'task_updated', now(), '{}'
         FROM stream, generate_series(0, 11999) AS n`,
        [`project:${big.id}`],
      );
      // Stands in for the limit of time that a statement has.
      await sql.query(
        `CREATE FUNCTION few() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           IF (SELECT count(*) FROM gone) > 5000 THEN RAISE 'too many at once'; END IF;
           RETURN NULL;
         END $$;
         CREATE TRIGGER few AFTER DELETE ON events.log REFERENCING OLD TABLE AS gone
         FOR EACH STATEMENT EXECUTE FUNCTION few()`,
      );
      await runJob(queue, "purge-deleted");
      await sql.query("DROP FUNCTION few CASCADE");
      expect(await isThere(big)).toBe(false);
      for (const table of ["events.log WHERE stream", "events.streams WHERE name"])
        expect([table, await count(`${table} = $1`, `project:${big.id}`)]).toEqual([table, 0]);
    });

    test("one that can't be purged keeps no other, and is tried again", async () => {
      const stuck = await dead("Stuck");
      await sql.query(
        `CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'held'; END $$;
         CREATE TRIGGER hold BEFORE DELETE ON projects.projects
         FOR EACH ROW WHEN (OLD.slug = '${stuck.slug}') EXECUTE FUNCTION hold()`,
      );
      const others = [await dead("Other"), await dead("Another")];
      await send(queue, "purge-deleted");
      for (const other of others) await waitFor(async () => !(await isThere(other)), "the others' end");
      expect(await isThere(stuck)).toBe(true);
      await sql.query("DROP FUNCTION hold CASCADE");
      await waitFor(async () => !(await isThere(stuck)), "another attempt");
    });
  });

  test("a deleted category that is on tasks still is taken off them, each with its event", async () => {
    const shared = await project("Labelled");
    const { id } = await ada.api.must("POST", "/categories", { name: "Left over", color: "#123456" });
    const labelled = await Promise.all(
      ["One", "Two"].map((title) => task(shared, title, { category_id: id })),
    );
    // As a node leaves it that dies after the first step.
    await sql.query("UPDATE tasks.categories SET deleted_at = now() WHERE id = $1", [id]);
    expect((await ada.api.must("GET", "/categories")).items).toEqual([]);
    await runJob(queue, "forget-categories");
    for (const { id } of labelled)
      expect(await ada.api.must("GET", `/tasks/${id}`)).toMatchObject({ category_id: null, version: 2 });
    expect(await count("tasks.categories WHERE id = $1", id)).toBe(0);
    const told = "events.log WHERE stream = $1 AND type = 'task_updated'";
    expect(await count(told, `project:${shared.id}`)).toBe(2);
  });

  test("a deleted category is taken off deleted tasks, too, a hundred at a time", async () => {
    const { id } = await ada.api.must("POST", "/categories", { name: "On many", color: "#123456" });
    await sql.query(
      `INSERT INTO tasks.tasks (id, title, status, priority, category_id, created_by, created_at, updated_at, deleted_at)
       SELECT gen_random_uuid(), 'Gone', 'pending', 'low', $1, $2, now(), now(), now() FROM generate_series(1, 250)`,
      [id, ada.id],
    );
    await sql.query(
      `CREATE TABLE public.sweeps (rows bigint);
       CREATE FUNCTION public.sweep() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN INSERT INTO public.sweeps SELECT count(*) FROM swept; RETURN NULL; END $$;
       CREATE TRIGGER sweep AFTER UPDATE ON tasks.tasks REFERENCING NEW TABLE AS swept
         FOR EACH STATEMENT EXECUTE FUNCTION public.sweep();
       UPDATE tasks.categories SET deleted_at = now() WHERE id = '${id}'`,
    );
    await runJob(queue, "forget-categories");
    const { rows } = await sql.query("SELECT rows::int FROM public.sweeps WHERE rows > 0 ORDER BY rows DESC");
    await sql.query("DROP TABLE public.sweeps; DROP FUNCTION public.sweep CASCADE");
    expect(rows.map((row: Wire) => row.rows)).toEqual([100, 100, 50]);
    expect(await count("tasks.categories WHERE id = $1", id)).toBe(0);
  });

  describe("events older than the retention", () => {
    const daysAgo = (days: number) => inHours(-24 * days);
    const numbersOf = async (stream: string): Promise<number[]> =>
      (await sql.query("SELECT seq::int FROM events.log WHERE stream = $1 ORDER BY seq", [stream])).rows.map(
        ({ seq }) => seq,
      );
    const age = (stream: string, upTo: number, days: number) =>
      sql.query("UPDATE events.log SET time = $3 WHERE stream = $1 AND seq <= $2", [
        stream,
        upTo,
        daysAgo(days),
      ]);

    test("are forgotten in all streams, from the first one on; the last event of a stream stays", async () => {
      const { EVENT_RETENTION_DAYS: days } = node.config;
      const [busy, quiet, young, skewed] = (await Promise.all(
        ["Busy", "Quiet", "Young", "Skewed"].map(async (name) => `project:${(await project(name)).id}`),
      )) as [string, string, string, string];
      for (const stream of [busy, quiet, young, skewed])
        for (const title of ["One", "Two", "Three"]) await task({ id: stream.slice(8) }, title);
      const own = `user:${ada.id}`;
      const ownNumbers = await numbersOf(own);
      await age(busy, 3, days + 1);
      await age(quiet, 5, days + 1);
      await age(young, 5, days - 1);
      await age(own, ownNumbers.length, days + 1);
      // The clock of the node that wrote event 2 was ahead.
      await age(skewed, 3, days + 1);
      await sql.query("UPDATE events.log SET time = $2 WHERE stream = $1 AND seq = 2", [
        skewed,
        daysAgo(days - 1),
      ]);

      await runJob(queue, "forget-events");

      expect(await numbersOf(busy)).toEqual([4, 5]);
      expect(await numbersOf(quiet)).toEqual([5]);
      expect(await numbersOf(young)).toEqual([1, 2, 3, 4, 5]);
      expect(await numbersOf(skewed)).toEqual([2, 3, 4, 5]);
      expect(await numbersOf(own)).toEqual(ownNumbers.slice(-1));
      await task({ id: quiet.slice(8) }, "Four");
      expect(await numbersOf(quiet)).toEqual([5, 6]);
      // It is not the last one any more.
      await runJob(queue, "forget-events");
      expect(await numbersOf(quiet)).toEqual([6]);
    });

    test("go in batches that are bounded, also where there are more streams than one batch looks at", async () => {
      await runJob(queue, "forget-events");
      await sql.query(
        `INSERT INTO events.streams (name, head)
         SELECT 'project:' || gen_random_uuid(), CASE WHEN n = 1 THEN 12000 ELSE 3 END FROM generate_series(1, 2500) AS n`,
      );
      await sql.query(
        `INSERT INTO events.log (stream, seq, id, type, time, data)
         SELECT name, seq, gen_random_uuid(), 'task_updated', '2001-01-01', '{}'
         FROM events.streams s CROSS JOIN generate_series(1, head) AS seq
         WHERE NOT EXISTS (SELECT FROM events.log WHERE stream = s.name)`,
      );
      await sql.query(
        `CREATE TABLE public.sweeps (rows bigint);
         CREATE FUNCTION public.sweep() RETURNS trigger LANGUAGE plpgsql AS $$
           BEGIN INSERT INTO public.sweeps SELECT count(*) FROM swept; RETURN NULL; END $$;
         CREATE TRIGGER sweep AFTER DELETE ON events.log REFERENCING OLD TABLE AS swept
           FOR EACH STATEMENT EXECUTE FUNCTION public.sweep()`,
      );
      await runJob(queue, "forget-events");
      const [sweeps] = (await sql.query("SELECT sum(rows)::int AS all, max(rows)::int AS most FROM sweeps"))
        .rows;
      await sql.query("DROP TABLE public.sweeps; DROP FUNCTION public.sweep CASCADE");
      expect(sweeps).toEqual({ all: 11_999 + 2499 * 2, most: 5000 });
      expect(await count("events.log WHERE time = '2001-01-01'")).toBe(2500);
      expect(await count("events.streams s JOIN events.log l ON l.stream = s.name AND l.seq = s.head")).toBe(
        await count("events.streams"),
      );
    });
  });

  test("answers under idempotency keys are forgotten once they expired", async () => {
    for (const key of ["old", "young"])
      await ada.api.post("/tasks", { title: "Once" }, { "Idempotency-Key": key });
    // More than one batch.
    await sql.query(
      `INSERT INTO idempotency.keys (user_id, key, fingerprint, response, kept_until)
       SELECT $1, 'more-' || n, '', '{}', now() FROM generate_series(1, 2500) AS n`,
      [ada.id],
    );
    await sql.query("UPDATE idempotency.keys SET kept_until = now() WHERE key <> 'young'");
    await runJob(queue, "forget-answers");
    const { rows } = await sql.query("SELECT key FROM idempotency.keys");
    expect(rows).toEqual([{ key: "young" }]);
  });
});

describe("a job", () => {
  let database: string;
  let queue: JobQueues;
  beforeEach(async () => {
    database = await freshDatabase();
    queue = openQueue(database);
    cleanups.push(() => queue.stop());
  });

  /** Stand in for the services that jobs call; nothing is to be purged. */
  function announcing(handle: () => boolean | Promise<boolean>): () => ServiceSchema[] {
    const handler = async () => {
      await setImmediate();
      return handle();
    };
    const announce_due = { auth: "internal", handler };
    const purge = { auth: "internal", handler: () => false };
    return () => [
      {
        name: "tasks",
        actions: { announce_due, purge, forget_categories: purge, spread_positions: purge },
      } as ServiceSchema,
      { name: "projects", actions: { purge } } as ServiceSchema,
    ];
  }

  test("comes by itself, and its schedule is one, however many nodes run it", async () => {
    let calls = 0;
    const services = announcing(() => ++calls < 0);
    const start = () => startJobs(database, { services, cronCheckSeconds: 1 });
    const nodes = await Promise.all([start(), start()]);
    await waitFor(() => calls > 0, "a run");
    const schedules = await queue.pgBoss.getSchedules();
    expect(schedules.map(({ name, cron }) => [name, cron])).toEqual([
      ["announce-due", "* * * * *"],
      ["forget-answers", "*/5 * * * *"],
      ["forget-categories", "* * * * *"],
      ["forget-events", "37 * * * *"],
      ["purge-deleted", "7 * * * *"],
      ["spread-positions", "* * * * *"],
    ]);
    expect(nodes.flatMap(({ log }) => log)).toEqual([]);
  });

  test("runs on one node at a time, and is not queued a second time meanwhile", async () => {
    let calls = 0;
    const gate = Promise.withResolvers<boolean>();
    const services = announcing(() => (calls++, gate.promise));
    await startJobs(database, { services });
    await startJobs(database, { services });
    await send(queue, "announce-due");
    await waitFor(() => calls > 0, "a run");
    for (let n = 0; n < 20; n++) expect(await send(queue, "announce-due")).toBeNull();
    expect(calls).toBe(1);
    gate.resolve(false);
    await runJob(queue, "announce-due");
    expect(calls).toBeGreaterThan(1);
  });

  test("whose service is away is tried again, with a line for each failure", async () => {
    let calls = 0;
    const services = announcing(() => {
      if (++calls <= 2) throw new Problem("database-unavailable");
      return false;
    });
    const { log } = await startJobs(database, { services });
    await send(queue, "announce-due");
    await waitFor(() => calls > 2, "the third attempt");
    const line = `job announce-due failed: ${PROBLEMS["database-unavailable"].explain}`;
    expect(log).toEqual([line, line]);
  });

  test("that finds no end leaves the rest to its next run", async () => {
    let calls = 0;
    const { log } = await startJobs(database, { services: announcing(() => ++calls > 0), stepLimitMs: 300 });
    await runJob(queue, "announce-due");
    expect(calls).toBeGreaterThan(1);
    expect(log).toEqual([]);
  });

  test("that runs when its node stops ends after the batch", async () => {
    let calls = 0;
    const node = await startJobs(database, { services: announcing(() => ++calls > 0) });
    await send(queue, "announce-due");
    await waitFor(() => calls > 0, "a run");
    const since = calmNow();
    await node.stop();
    expect(calmNow() - since).toBeLessThan(2000);
    expect(node.log).toEqual([]);
  });

  test("whose node died is run by another one", async () => {
    let calls = 0;
    const services = announcing(() => ++calls < 0);
    const first = await startJobs(database, { services, expireSeconds: 1 });
    await send(queue, "announce-due");
    await first.stop();
    // This node takes the job, and is never heard of again.
    await send(queue, "announce-due");
    const [{ id } = { id: "" }] = await queue.pgBoss.fetch("announce-due");
    calls = 0;
    await startJobs(database, { services, expireSeconds: 1 });
    expect(await send(queue, "announce-due")).toBeNull();
    await waitFor(async () => {
      const [{ startedOn } = { startedOn: new Date() }] = await queue.pgBoss.findJobs("announce-due", { id });
      return startedOn.getTime() + 1000 < Date.now();
    }, "its time to be up");
    await queue.pgBoss.supervise("announce-due");
    await waitFor(() => calls > 0, "another attempt");
    await waitFor(async () => (await stateOf(queue, "announce-due", id)) === "completed", "its end");
  });

  test("runs once Postgres is there, though the node started without it", async () => {
    const gate = await gateTo(database);
    let calls = 0;
    const node = await startJobs(gate.url, { services: announcing(() => ++calls < 0) });
    await waitFor(() => node.log.length > 0, "a complaint");
    await gate.open();
    cleanups.unshift(() => gate.close());
    await runJob(queue, "announce-due");
    expect(calls).toBeGreaterThan(0);

    await gate.close();
    await gate.open();
    await runJob(queue, "announce-due");
    await gate.close();
    const since = calmNow();
    await node.stop();
    expect(calmNow() - since).toBeLessThan(5000);
    expect(node.log).toEqual([expect.stringMatching(/^job queue: .*ECONNREFUSED/)]);
  });
});
