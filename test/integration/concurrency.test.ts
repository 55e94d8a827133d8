/** Many writers at once: nothing is lost, nothing is half done, and nobody stands in a circle. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import pg from "pg";
import { problemCode } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import type { AnswerCache } from "../../mixins/cache.ts";
import {
  type Database,
  databaseOf,
  openDatabase,
  type Queryable,
  type Statement,
} from "../../mixins/database.ts";
import { readMoment } from "../../mixins/event-log.queries.ts";
import type { WriteContext } from "../../mixins/event-log.ts";
import { createComment } from "../../services/tasks/comments.commands.ts";
import { tasks as tasksService } from "../../services/tasks/tasks.contract.ts";
import { runBulk } from "../../services/tasks/bulk.commands.ts";
import { lockDueSoon } from "../../services/tasks/batches.queries.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase as openClient, readStream } from "../support/database.ts";

const NO_CONDITIONS = { ifMatch: null, key: null };

let node: TestNode;
let db: pg.Client;
let ada: Person;
let ben: Person;

beforeAll(async () => {
  node = await startTestNode();
  db = await openClient(node);
  [ada, ben] = (await Promise.all(["ada", "ben"].map((name) => node.api.person(name)))) as [Person, Person];
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

const newProject = async (): Promise<string> =>
  (await ada.api.must("POST", "/projects", { name: "Busy" })).id as string;
const newTask = (project: string, fields: object = {}): Promise<Wire> =>
  ada.api.must("POST", `/projects/${project}/tasks`, { title: "Start", ...fields });
/** A task as the database has it now. */
const rowOf = async (id: string): Promise<Wire> =>
  (await db.query("SELECT *, version::int FROM tasks.tasks WHERE id = $1", [id])).rows[0];
const seqsOf = async (stream: string): Promise<number[]> =>
  (await readStream(db, stream)).map(({ seq }) => seq);

/** What was changed, from the state before to the state after, as one event tells it. */
function apply(state: Wire, { task, changes }: Wire): Wire {
  for (const [field, { old }] of Object.entries<Wire>(changes))
    expect([field, state[field]]).toEqual([field, old]);
  const next = { ...state };
  for (const [field, change] of Object.entries<Wire>(changes)) next[field] = change.new;
  return { ...next, version: state.version + 1, updated_at: task.updated_at };
}

describe("one task", () => {
  const WRITERS = 50;
  const STEPS = 20;
  const FIELDS = ["title", "description", "due_date"];

  test("50 writers, 20 changes each: none is lost, and versions and numbers tell exactly 1,000", async () => {
    const project = await newProject();
    const created = await newTask(project);
    const stream = `project:${project}`;
    const before = (await seqsOf(stream)).length;
    // A value that nobody else sets, in fields that take turns, sometimes together with one that others set too.
    const change = (writer: number, step: number): object => {
      const nth = writer * STEPS + step;
      const field = FIELDS[nth % FIELDS.length] as string;
      const value =
        field === "due_date" ? new Date(Date.UTC(2030, 0, 1, 0, nth)).toISOString() : `${field} ${nth}`;
      const priority = ["low", "medium", "high", "urgent"][nth % 4];
      return { [field]: value, ...(nth % 5 === 0 && { priority }) };
    };
    const answers: Answer[] = [];
    await Promise.all(
      upTo(WRITERS).map(async (writer) => {
        for (const step of upTo(STEPS)) {
          const write = () => ada.api.patch(`/tasks/${created.id}`, change(writer - 1, step - 1));
          let answer = await write();
          // On a slow machine the last in the line are refused, and come again.
          while (answer.body.type === "/problems/overloaded") answer = await write();
          answers.push(answer);
        }
      }),
    );
    expect(tally(answers)).toEqual({ 200: WRITERS * STEPS });

    const all = upTo(WRITERS * STEPS).map((n) => n + 1);
    expect(answers.map(({ body }) => body.version).sort((a, b) => a - b)).toEqual(all);
    const log = (await readStream(db, stream)).slice(before);
    expect(log.map(({ seq }) => seq)).toEqual(all.map((version) => before + version - 1));
    expect(log.map(({ type, data }) => [type, data.task.version])).toEqual(
      all.map((version) => ["task_updated", version]),
    );
    // Each began at what the one before it left, and what it said it did is what it left.
    let state = created;
    for (const { data } of log) {
      state = apply(state, data);
      expect(data.task).toEqual(state);
    }
    expect(answers.find(({ body }) => body.version === all.at(-1))?.body).toEqual(state);
    expect((await ada.api.must("GET", `/tasks/${created.id}`)).version).toBe(all.at(-1));
    const row = await rowOf(created.id);
    expect(JSON.parse(JSON.stringify(row))).toMatchObject(state);
  });

  test("who was told of a write reads it, or what came after it, wherever they look", async () => {
    const project = await newProject();
    const { id } = await newTask(project);
    const looks: ((body: Wire) => Wire)[] = [
      (body) => body,
      ({ items }) => items[0],
      ({ items }) => items[0],
      ({ items }) => items.at(-1).data.task,
    ];
    // One user's lists are read two at a time: those that are too many for a slow machine come again.
    const look = async (path: string): Promise<Wire> => {
      let answer = await ada.api.get(path);
      while (answer.status === 429) answer = await ada.api.get(path);
      expect([path, answer.status]).toEqual([path, 200]);
      return answer.body;
    };
    const paths = [`/tasks/${id}`, `/projects/${project}/tasks`, `/tasks?project_id=${project}`];
    await Promise.all(
      upTo(10).map(async (writer) => {
        for (const step of upTo(20)) {
          const { version } = await ada.api.must("PATCH", `/tasks/${id}`, { title: `${writer} ${step}` });
          // The project's creation and the task's are its first two events, and each version has one from there on.
          const places = [...paths, `/projects/${project}/events?limit=1&after=${version}`];
          const answers = await Promise.all(places.map(look));
          for (const [n, answer] of answers.entries())
            expect([places[n], looks[n]!(answer).version >= version]).toEqual([places[n], true]);
        }
      }),
    );
  });

  test("50 writers with the same If-Match: one is served, and 49 are told that it has changed", async () => {
    const project = await newProject();
    const { id } = await newTask(project);
    const answers = await Promise.all(
      upTo(WRITERS).map((n) => ada.api.patch(`/tasks/${id}`, { title: `By ${n}` }, { "If-Match": '"1"' })),
    );
    expect(tally(answers)).toEqual({ 200: 1, 412: WRITERS - 1 });
    const { body } = answers.find(({ status }) => status === 200)!;
    expect(await rowOf(id)).toMatchObject({ title: body.title, version: 2 });
    expect(
      (await readStream(db, `project:${project}`)).filter(({ type }) => type === "task_updated"),
    ).toHaveLength(1);
  });

  test("50 that delete and restore it in turns: each either did it or came too late", async () => {
    const project = await newProject();
    const { id } = await newTask(project);
    const answers = await Promise.all(
      upTo(WRITERS).map((n) =>
        n % 2 ? ada.api.delete(`/tasks/${id}`) : ada.api.post(`/tasks/${id}/restore`),
      ),
    );
    const counts = tally(answers);
    expect(Object.keys(counts).filter((status) => !["200", "204", "404"].includes(status))).toEqual([]);
    const done = (counts[200] ?? 0) + (counts[204] ?? 0);
    expect(await rowOf(id)).toMatchObject({ version: 1 + done });
    const types = (await readStream(db, `project:${project}`)).slice(2).map(({ type }) => type);
    expect(types).toEqual(upTo(done).map((n) => (n % 2 ? "task_deleted" : "task_restored")));
  });
});

describe("a bulk request", () => {
  /** An operation that can't be done, on a task that there is. */
  const FAULTS: [string, (task: string) => object, number][] = [
    ["a task that isn't there", () => ({ op: "delete", id: newId() }), 404],
    ["an illegal transition", (id) => ({ op: "transition", id, to: "archived" }), 409],
    ["a category that isn't there", (id) => ({ op: "update", id, category_id: newId() }), 422],
    ["an assignee who sees no such project", (id) => ({ op: "assign", id, assigned_to: ben.id }), 422],
    ["a project that isn't there", () => ({ op: "create", title: "x", project_id: newId() }), 404],
  ];

  test.each(FAULTS)(
    "with %s at its beginning, in its middle or at its end does nothing",
    async (_, fault, status) => {
      const project = await newProject();
      const tasks = await Promise.all(upTo(5).map(() => newTask(project)));
      const ids = tasks.map(({ id }): string => id);
      const good: object[] = [
        ...ids.slice(0, 4).map((id) => ({ op: "update", id, title: "Done" })),
        { op: "create", title: "Done", project_id: project },
        { op: "delete", id: ids[0] },
        { op: "transition", id: ids[1], to: "completed" },
      ];
      const events = await seqsOf(`project:${project}`);
      for (const at of [0, 4, good.length]) {
        const { status: whole, body } = await ada.api.post("/tasks/bulk", {
          operations: good.toSpliced(at, 0, fault(ids[4] as string)),
        });
        expect([whole, body.results.map(({ status }: Wire) => status)]).toEqual([
          422,
          good.map(() => 424).toSpliced(at, 0, status),
        ]);
        expect(await seqsOf(`project:${project}`)).toEqual(events);
        for (const task of tasks) expect(await ada.api.must("GET", `/tasks/${task.id}`)).toMatchObject(task);
        expect((await ada.api.must("GET", `/projects/${project}/tasks`)).total).toBe(5);
      }
      // The same without the fault can be done.
      expect((await ada.api.post("/tasks/bulk", { operations: good })).status).toBe(200);
    },
  );

  test("of which the database's connections die is there as a whole or not at all, and once when sent again", async () => {
    const [WRITERS, BULKS, SIZE] = [4, 12, 10];
    const projects = await Promise.all(upTo(WRITERS).map(newProject));
    const tasks = await Promise.all(
      projects.map((project) => Promise.all(upTo(SIZE).map(() => newTask(project)))),
    );
    const watch = new pg.Pool({ connectionString: node.config.DATABASE_URL });
    let kills = 0;
    let working = true;
    // A connection dies again and again, wherever it is in its work.
    const killer = (async () => {
      while (working) {
        const { rowCount } = await watch.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
           WHERE datname = current_database() AND application_name LIKE 'taskwire%' AND state <> 'idle'
             AND query ~ 'tasks|BEGIN|COMMIT'`,
        );
        kills += rowCount ?? 0;
      }
    })();
    /** Creations and changes that a bulk request left. */
    const left = async (title: string): Promise<number[]> => {
      const { rows } = await watch.query<{ created: number; events: number }>(
        `SELECT (SELECT count(*)::int FROM tasks.tasks WHERE title = $1) AS created,
                (SELECT count(*)::int FROM events.log WHERE data->'task'->>'description' = $1) AS events`,
        [title],
      );
      return [rows[0]!.created, rows[0]!.events];
    };
    const outcomes: Answer[] = [];
    const halves: unknown[] = [];
    try {
      await Promise.all(
        projects.map(async (project, writer) => {
          for (const bulk of upTo(BULKS)) {
            const title = `bulk ${writer} ${bulk}`;
            const operations = tasks[writer]!.flatMap(({ id }) => [
              { op: "create", title, description: title, project_id: project },
              { op: "update", id, description: title },
            ]);
            const headers = { "Idempotency-Key": title };
            const served = await until(async () => {
              const answer = await ada.api.post("/tasks/bulk", { operations }, headers);
              outcomes.push(answer);
              if (![200, 503].includes(answer.status)) throw new Error(JSON.stringify(answer.body));
              const found = await left(title);
              if (String(found) !== "0,0" && String(found) !== `${SIZE},${2 * SIZE}`) halves.push(found);
              // Once enough has died under it, it may end.
              if (kills > 100) working = false;
              return answer.status === 200;
            }, 20_000);
            expect([title, served, await left(title)]).toEqual([title, true, [SIZE, 2 * SIZE]]);
          }
        }),
      );
    } finally {
      working = false;
      await killer;
      await watch.end();
    }
    expect(halves).toEqual([]);
    expect(kills).toBeGreaterThan(5);
    expect(outcomes.some(({ status }) => status === 503)).toBe(true);
    for (const [writer, project] of projects.entries()) {
      for (const { id } of tasks[writer]!)
        expect(await rowOf(id)).toMatchObject({ version: 1 + BULKS, description: `bulk ${writer} ${BULKS}` });
      const seqs = await seqsOf(`project:${project}`);
      // Its maker's membership, its first tasks, and all that the bulks did.
      expect(seqs).toEqual(upTo(1 + SIZE + BULKS * 2 * SIZE));
    }
  });

  test("whose connection dies between two of its statements fails alone, and the node lives on", async () => {
    const heard: string[] = [];
    const own = openDatabase(node.config, ({ message }) => heard.push(message));
    try {
      const work = own.transaction(async (tx) => {
        const [{ pid } = {}] = await tx.query<{ pid: number }>({ text: "SELECT pg_backend_pid() AS pid" });
        await db.query("SELECT pg_terminate_backend($1)", [pid]);
        expect(await until(() => heard.length > 0, 5000)).toBe(true);
        await tx.query({ text: "SELECT 1" });
      });
      expect(problemCode(await work.catch((error: unknown) => error))).toBe("database-unavailable");
      expect(await own.transaction((tx) => tx.query({ text: "SELECT 1 AS one" }))).toEqual([{ one: 1 }]);
    } finally {
      await own.close();
    }
  });

  test("that changes nothing answers the same again under its key", async () => {
    const project = await newProject();
    const { id } = await newTask(project);
    const send = (path: string, body: object, key: string) =>
      ada.api.post(path, body, { "Idempotency-Key": key });
    const bulk = { operations: [{ op: "update", id, title: "Start" }] };
    const [path, key, other] = [`/tasks/${id}/assign`, newId(), newId()];
    const first = [await send("/tasks/bulk", bulk, key), await send(path, { assigned_to: null }, other)];
    expect(first.map(({ status, body }) => [status, (body.results?.[0].task ?? body).version])).toEqual([
      [200, 1],
      [200, 1],
    ]);
    await ada.api.patch(`/tasks/${id}`, { title: "Another", assigned_to: ada.id });
    const again = [await send("/tasks/bulk", bulk, key), await send(path, { assigned_to: null }, other)];
    expect(again.map(({ body }) => body)).toEqual(first.map(({ body }) => body));
    expect(again.map(({ headers }) => headers.get("idempotency-replayed"))).toEqual(["true", "true"]);
    expect((await send(path, { assigned_to: ada.id }, other)).status).toBe(422);
    expect(await rowOf(id)).toMatchObject({ title: "Another", assigned_to: ada.id, version: 2 });
  });
});

/** A database of its own on which something else happens before a statement of this name is sent for the first time. */
function lateDatabase(name: string, before: () => Promise<unknown>): Database & { happened(): boolean } {
  const own = openDatabase(node.config, () => {});
  let happened = false;
  const late = (on: Queryable): Queryable => ({
    async query<Row extends object>(statement: Statement): Promise<Row[]> {
      if (statement.name === name && !happened) {
        happened = true;
        await before();
      }
      return on.query<Row>(statement);
    },
  });
  return {
    ...late(own),
    transaction: (work, timeoutMs) => own.transaction((tx) => work(late(tx)), timeoutMs),
    openSnapshot: (limits) => own.openSnapshot(limits),
    close: () => own.close(),
    interruptions: 0,
    cache: null,
    lines: own.lines,
    happened: () => happened,
  };
}
const writeOf = ({ id }: Person): WriteContext => ({
  actor: { id, role: "user", session: newId() },
  requestId: null,
  time: new Date().toISOString(),
  conditions: NO_CONDITIONS,
});

describe("a comment on a task that is handed on meanwhile reaches who has it then", () => {
  let [owner, former, next]: Person[] = [];
  let task: Wire;
  beforeEach(async () => {
    [owner, former, next] = await Promise.all(
      ["owner", "former", "next"].map((name) => node.api.person(name)),
    );
    const shared = await owner!.api.must("POST", "/projects", { name: "Shared" });
    for (const { id } of [former!, next!])
      await owner!.api.must("POST", `/projects/${shared.id}/members`, { user_id: id, role: "viewer" });
    task = await owner!.api.must("POST", "/tasks", { title: "x", assigned_to: former!.id });
  });
  const expectHeardByNext = async (id: string): Promise<void> => {
    const heard = async (person: Person): Promise<boolean> =>
      (await readStream(db, `user:${person.id}`)).some(({ data }) => data.comment?.id === id);
    expect([await heard(owner!), await heard(former!), await heard(next!)]).toEqual([true, false, true]);
  };

  test("before the comment's statement begins", async () => {
    const late = lateDatabase("comments-insert-many", () =>
      owner!.api.must("POST", `/tasks/${task.id}/assign`, { assigned_to: next!.id }),
    );
    try {
      const { answer } = await createComment(late, task.id, "Who hears it?", writeOf(owner!));
      expect(late.happened()).toBe(true);
      await expectHeardByNext(answer.id);
    } finally {
      await late.close();
    }
  });

  test("by a write that is about to commit", async () => {
    const handing = new pg.Client({ connectionString: node.config.DATABASE_URL });
    await handing.connect();
    try {
      await handing.query("BEGIN");
      await handing.query("UPDATE tasks.tasks SET assigned_to = $2, version = version + 1 WHERE id = $1", [
        task.id,
        next!.id,
      ]);
      let answered = false;
      const commented = owner!.api
        .must("POST", `/tasks/${task.id}/comments`, { body: "Who hears it?" })
        .finally(() => (answered = true));
      const waits = async (): Promise<boolean> =>
        ((
          await db.query(
            `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()`,
          )
        ).rowCount ?? 0) > 0;
      expect(await until(async () => answered || (await waits()), 5000)).toBe(true);
      await handing.query("COMMIT");
      await expectHeardByNext((await commented).id as string);
    } finally {
      await handing.end();
    }
  });
});

test("what was kept of answers is outdated before anybody hears of the write", async () => {
  const project = await newProject();
  const { id } = await newTask(project);
  const told: string[] = [];
  const db = databaseOf(node.broker) as Database;
  const { cache } = db;
  db.cache = {
    begin(names) {
      told.push("outdated");
      return (cache as AnswerCache).begin(names);
    },
  };
  const listener = node.broker.createService({
    name: "listener",
    events: { "events.committed": () => void told.push("heard") },
  });
  try {
    for (const write of [
      () => ada.api.must("PATCH", `/tasks/${id}`, { title: "Written" }),
      () => ada.api.must("PATCH", `/projects/${project}`, { name: "Written" }),
    ]) {
      told.length = 0;
      await write();
      expect(await until(() => told.includes("heard"), 5000)).toBe(true);
      expect([told[0], told.at(-1)]).toEqual(["outdated", "heard"]);
    }
  } finally {
    db.cache = cache;
    await node.broker.destroyService(listener);
  }
});

test("a bulk request of a member who is removed before it commits does nothing", async () => {
  const project = await newProject();
  await ada.api.must("POST", `/projects/${project}/members`, { user_id: ben.id, role: "member" });
  const { id } = await newTask(project);
  const late = lateDatabase("tasks-save", () =>
    ada.api.must("DELETE", `/projects/${project}/members/${ben.id}`),
  );
  try {
    const bulk = runBulk(
      late,
      [{ op: "update", id, title: "Late" }],
      { people: [], categories: [] },
      writeOf(ben),
    );
    expect(problemCode(await bulk.catch((error: unknown) => error))).toBe("bulk-failed");
    expect([late.happened(), (await rowOf(id)).title]).toEqual([true, "Start"]);
    expect((await readStream(db, `project:${project}`)).at(-1)?.type).toBe("member_removed");
  } finally {
    await late.close();
  }
});

test("two that announce what is due at once each have tasks of their own, and none waits", async () => {
  const project = await newProject();
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const ids = [
    (await newTask(project, { due_date: soon })).id,
    (await newTask(project, { due_date: soon })).id,
  ];
  const own = openDatabase(node.config, () => {});
  const of = (found: { id: string }[]): string[] =>
    found.map(({ id }) => id).filter((id) => ids.includes(id));
  try {
    await own.transaction(async (one) => {
      const first = of(await lockDueSoon(one, soon, 1));
      const second = await own.transaction(async (other) => of(await lockDueSoon(other, soon, 100)));
      expect([first.length, second.length]).toEqual([1, 1]);
      expect(new Set([...first, ...second])).toEqual(new Set(ids));
    });
  } finally {
    await own.close();
  }
});

test("writers that want the same tasks, streams and projects in opposite orders never wait in a circle", async () => {
  const projects = await Promise.all(upTo(4).map(newProject));
  for (const project of projects)
    await ada.api.must("POST", `/projects/${project}/members`, { user_id: ben.id, role: "manager" });
  const tasks = (
    await Promise.all(projects.map((project) => Promise.all(upTo(4).map(() => newTask(project)))))
  ).flat();
  const ids = tasks.map(({ id }): string => id);
  const category = await ada.api.must("POST", "/categories", { name: "Busy", color: "#123456" });
  const guests = await Promise.all(upTo(2).map(() => node.api.person("guest")));
  const orders = [<T>(list: T[]) => list, <T>(list: T[]) => list.toReversed()];
  /** The kinds of writes, each in an order and with what its turn brings. */
  const WRITES: ((n: number, inOrder: (typeof orders)[number]) => Promise<Answer>)[] = [
    (n, inOrder) =>
      ada.api.post("/tasks/bulk", {
        operations: inOrder(ids).map((id) => ({
          op: "update",
          id,
          title: `Bulk ${n}`,
          category_id: category.id,
        })),
      }),
    (n, inOrder) =>
      ben.api.post("/tasks/bulk", {
        operations: inOrder(projects).flatMap((project_id) => [
          { op: "create", title: `New ${n}`, project_id, assigned_to: inOrder([ada, ben])[0]!.id },
          { op: "create", title: `Own ${n}`, assigned_to: inOrder([ada, ben])[1]!.id },
        ]),
      }),
    (n, inOrder) =>
      ben.api.post("/tasks/bulk", {
        operations: inOrder(ids).map((id) => ({ op: "assign", id, assigned_to: (n % 4 < 2 ? ada : ben).id })),
      }),
    (n, inOrder) => ada.api.patch(`/tasks/${inOrder(ids)[n % 5]}`, { description: `Single ${n}` }),
    (n, inOrder) => ben.api.post(`/tasks/${inOrder(ids)[n % 5]}/comments`, { body: `Comment ${n}` }),
    (n, inOrder) =>
      ada.api.post(`/projects/${inOrder(projects)[n % 4]}/tasks`, { title: `One ${n}`, assigned_to: ben.id }),
    (n, inOrder) => ada.api.patch(`/projects/${inOrder(projects)[n % 4]}`, { description: `Renamed ${n}` }),
    (n, inOrder) =>
      ada.api.patch(`/projects/${inOrder(projects)[n % 4]}`, { slug: `busy-${newId().slice(-12)}` }),
    (n, inOrder) =>
      ada.api.patch(`/projects/${inOrder(projects)[n % 4]}/members/${ben.id}`, {
        role: n % 4 < 2 ? "manager" : "owner",
      }),
    (n, inOrder) => {
      const path = `/projects/${inOrder(projects)[n % 4]}/members`;
      const { id: user_id } = guests[n % 2]!;
      return n % 4 < 2
        ? ada.api.post(path, { user_id, role: "viewer" })
        : ada.api.delete(`${path}/${user_id}`);
    },
    (n) => ada.api.patch(`/categories/${category.id}`, { color: n % 2 ? "#000000" : "#FFFFFF" }),
    // What goes takes itself off the tasks that have it: a category, an account.
    async (n, inOrder) => {
      const brief = await ada.api.must("POST", "/categories", { name: newId(), color: "#123456" });
      const some = inOrder(ids).slice(0, 4);
      await ada.api.post("/tasks/bulk", {
        operations: some.map((id) => ({
          op: "update",
          id,
          category_id: brief.id,
          description: `Brief ${n}`,
        })),
      });
      return ada.api.delete(`/categories/${brief.id}`);
    },
    async (n, inOrder) => {
      const brief = await node.api.person("brief");
      const some = inOrder(projects);
      await ben.api.post(`/projects/${some[0]}/members`, { user_id: brief.id, role: "member" });
      for (const project of some.slice(0, 2))
        await ben.api.post(`/projects/${project}/tasks`, { title: `Brief ${n}`, assigned_to: brief.id });
      await ben.api.post("/tasks", { title: `Brief ${n}`, assigned_to: brief.id });
      return brief.api.delete(`/users/${brief.id}`);
    },
    async (n, inOrder) => {
      const due_date = new Date(Date.now() + (n + 1) * 60_000).toISOString();
      for (const id of inOrder(ids).slice(0, 4)) await ada.api.patch(`/tasks/${id}`, { due_date });
      await tasksService.call(node.broker, "announce_due", {});
      return ada.api.get("/tasks");
    },
  ];
  const answers = (
    await Promise.all(
      [...WRITES, ...WRITES].map(async (write, writer) => {
        const own: Answer[] = [];
        for (const n of upTo(30)) own.push(await write(n, orders[(n + writer) % 2]!));
        return own;
      }),
    )
  ).flat();
  const counts = tally(answers);
  // A guest may be there or gone already.
  const failed = answers.filter(
    ({ status, body }) =>
      ![200, 201, 204, 404, 409].includes(status) &&
      body?.detail !== "Too many writes wait for the same lock",
  );
  expect(failed.map(({ status, body }) => [status, body])).toEqual([]);
  expect((counts[200] ?? 0) + (counts[201] ?? 0)).toBeGreaterThan(500);
  const { rows } = await db.query<{ name: string; head: string; count: string; last: string }>(
    `SELECT name, head, count(*), max(seq) AS last FROM events.streams JOIN events.log ON stream = name GROUP BY name`,
  );
  for (const { head, count, last } of rows) expect([count, last]).toEqual([head, head]);
});

test("a moment of the database ends with each commit, also of what began before others, and with nothing else", async () => {
  const database = databaseOf(node.broker) as Database;
  const now = (): Promise<string | null> => readMoment(database);
  const writers = await Promise.all([openClient(node), openClient(node)]);
  try {
    for (const [nth, writer] of writers.entries()) {
      await writer.query("BEGIN");
      await writer.query("INSERT INTO events.streams (name, head) VALUES ($1, 0)", [`moment:${nth}`]);
    }
    // Two transactions are under way. The one that began last ends first.
    const moments = [await now()];
    for (const writer of writers.toReversed()) {
      await writer.query("COMMIT");
      moments.push(await now());
    }
    expect(new Set(moments).size).toBe(3);
    expect(moments).not.toContain(null);
    // Nothing else is written here for longer than between two looks, sooner or later.
    expect(await until(async () => (await now()) === (await now()), 5000)).toBe(true);
  } finally {
    await db.query("DELETE FROM events.streams WHERE name LIKE 'moment:%'");
    for (const writer of writers) await writer.end();
  }
});
