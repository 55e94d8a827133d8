import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { connect as connectNats } from "nats";
import pg from "pg";
import { natsOptions } from "../../core/nats-options.ts";
import { until } from "../../local/until.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { EventReader } from "../support/event-reader.ts";
import { TestSocket } from "../support/socket.ts";

let cluster: TestCluster;
let ada: Person;
let ben: Person;
const sockets: TestSocket[] = [];

async function connect(notifier: 0 | 1, person: Person, auth: object = {}): Promise<TestSocket> {
  const socket = await TestSocket.connect(cluster.notifiers[notifier], { token: person.token, ...auth });
  sockets.push(socket);
  return socket;
}

async function newProject(): Promise<{ id: string; stream: string }> {
  const { id } = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${id}/members`, { user_id: ben.id, role: "member" });
  return { id, stream: `project:${id}` };
}

const numbersFrom = (first: number, count: number) => Array.from({ length: count }, (_, at) => first + at);

beforeAll(async () => {
  cluster = await startTestCluster();
  [ada, ben] = await Promise.all([cluster.api.person("ada"), cluster.api.person("ben")]);
});
afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));
afterAll(() => cluster?.stop());

/** Runs `work`, and tells which nodes were sent hints of commits meanwhile. */
async function hintsDuring(work: () => Promise<unknown>): Promise<string[]> {
  const nats = await connectNats(natsOptions(cluster.nats.url));
  const sent: string[] = [];
  try {
    nats.subscribe("*.EVENT.*", {
      callback: (_error, { subject, data }) => {
        if (Buffer.from(data).includes("events.committed")) sent.push(subject.split(".").at(-1) ?? "");
      },
    });
    await nats.flush();
    await work();
    // A hint leaves before the answer of its write.
    await nats.flush();
    return sent;
  } finally {
    await nats.close();
  }
}

describe("each service in a process of its own", () => {
  test("a write sends hints to those notifiers whose sockets follow a stream, and to them from their first socket on", async () => {
    const { id, stream } = await newProject();
    const create = () => ada.api.must("POST", `/projects/${id}/tasks`, { title: "Hinted" });
    expect(await hintsDuring(create)).toEqual([]);
    const socket = await connect(0, ada);
    expect(await hintsDuring(create)).toEqual(["notifier-1"]);
    await socket.waitFor(() => socket.of(stream).length > 0, "the event");
    const other = await connect(1, ben);
    expect((await hintsDuring(create)).toSorted()).toEqual(["notifier-1", "notifier-2"]);
    await other.waitFor(() => other.of(stream).length > 0, "the event");
  });

  test("a tasks node that joins takes its share, and says that Postgres has no room for all that nodes may open", async () => {
    await cluster.addNode("tasks-3", "tasks-1", { DATABASE_POOL: "500" });
    const db = new pg.Client({ connectionString: cluster.databaseUrl });
    await db.connect();
    // A node connects to Postgres for the first statement that it gets to run.
    const serves = await until(async () => {
      await Promise.all(numbersFrom(1, 10).map((limit) => ada.api.must("GET", `/tasks?limit=${limit}`)));
      const { rowCount } = await db.query("SELECT FROM pg_stat_activity WHERE application_name = $1", [
        "taskwire tasks-3",
      ]);
      return (rowCount ?? 0) > 0;
    }, 10_000).finally(() => db.end());
    expect(serves).toBe(true);
    const warning =
      /^tasks-3: .*9 nodes may open \d{3} connections to Postgres, which takes \d+: raise max_conn/;
    expect(await until(() => cluster.log.some((line) => warning.test(line)), 5000)).toBe(true);
    await cluster.stopNode("tasks-3");
  });

  test("two sockets on different notifiers get every event of a project once, in order; a stranger gets none", async () => {
    const { id, stream } = await newProject();
    const eve = await cluster.api.person("eve");
    const [first, second, stranger] = await Promise.all([connect(0, ada), connect(1, ben), connect(1, eve)]);

    const task = await ada.api.must("POST", `/projects/${id}/tasks`, { title: "Write it" });
    await ada.api.must("POST", `/tasks/${task.id}/assign`, { assigned_to: ben.id });
    await ben.api.must("POST", `/tasks/${task.id}/transitions`, { to: "completed" });

    // What is written last shows that nothing else is still to come: no repeat, and nothing for the stranger.
    await ada.api.must("POST", `/projects/${id}/tasks`, { title: "The last one" });
    for (const client of [first, second]) {
      await client.waitFor(() => client.of(stream).some(({ seq }) => seq === 6), "the last one");
      expect(client.of(stream).map(({ seq, type }) => [seq, type])).toEqual([
        [3, "task_created"],
        [4, "task_assigned"],
        [5, "task_completed"],
        [6, "task_created"],
      ]);
    }
    await eve.api.must("POST", "/tasks", { title: "My own" });
    await stranger.waitFor(() => stranger.of(`user:${eve.id}`).length > 0, "an event of their own");
    expect(stranger.events.map(({ stream: of, type }) => [of, type])).toEqual([
      [`user:${eve.id}`, "task_created"],
    ]);
  });

  test("kill -9 of one of two tasks nodes under GETs: none waits 3 s, and all are served", async () => {
    const { id } = await newProject();
    const { id: task } = await ada.api.must("POST", `/projects/${id}/tasks`, { title: "Read me" });
    const answers: { answer: Answer; took: number }[] = [];
    let reading = true;
    const readers = numbersFrom(0, 4).map(async () => {
      while (reading) {
        const began = calmNow();
        const answer = await ada.api.get(`/tasks/${task}`);
        answers.push({ answer, took: calmNow() - began });
      }
    });

    await until(() => answers.length > 50, 10_000);
    await cluster.kill("tasks-1");
    const before = answers.length;
    await until(() => answers.length > before + 100, 15_000);
    reading = false;
    await Promise.all(readers);
    await cluster.revive("tasks-1");

    expect(answers.filter(({ answer }) => answer.status !== 200).map(({ answer }) => answer)).toEqual([]);
    expect(Math.max(...answers.map(({ took }) => took))).toBeLessThan(3000);
    expect(answers.length).toBeGreaterThan(before + 100);
  });

  test("kill -9 of the tasks node that holds a snapshot: the response is cut, without an end, and the next one is whole", async () => {
    const { id } = await newProject();
    const task = await ada.api.must("POST", `/projects/${id}/tasks`, { title: "Discussed" });
    const db = new pg.Client({ connectionString: cluster.databaseUrl });
    await db.connect();
    // More than all buffers on the way hold.
    await db.query(
      `INSERT INTO tasks.comments (id, task_id, author_id, body, version, created_at, updated_at)
       SELECT gen_random_uuid(), $1, $2, repeat('x', 9000), 1, now(), now() FROM generate_series(1, 4000)`,
      [task.id, ada.id],
    );
    const url = `${cluster.api.url}/projects/${id}/snapshot`;
    const headers = { Authorization: `Bearer ${ada.token}` };
    const asked = request(url, { headers, agent: false }).end();
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    const { rows } = await db.query<{ node: string }>(
      `SELECT split_part(application_name, ' ', 2) AS node FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE 'taskwire tasks-%'
         AND (state LIKE 'idle in transaction%' OR query LIKE 'FETCH%')`,
    );
    await db.end();
    expect(rows).toHaveLength(1);
    await cluster.kill(rows[0]!.node);
    let read = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (read += chunk));
    await expect(once(response, "end")).rejects.toThrow(/aborted/);
    expect(read).toContain('"type":"head"');
    expect(read).not.toContain('"type":"end"');

    const { status, body } = await ada.api.get(`/projects/${id}/snapshot`);
    expect([status, body.length, body.at(-1)]).toEqual([200, 4005, { type: "end", count: 4003 }]);
    await cluster.revive(rows[0]!.node);
  });

  test("SIGTERM of each tasks node, the second as soon as the first is back: every request is served", async () => {
    const { id } = await newProject();
    const statuses: number[] = [];
    let writing = true;
    const writers = numbersFrom(0, 4).map(async () => {
      while (writing)
        statuses.push((await ada.api.post(`/projects/${id}/tasks`, { title: "Through it all" })).status);
    });
    try {
      for (const name of ["tasks-1", "tasks-2"]) {
        cluster.group.kill(name, "SIGTERM");
        await until(() => cluster.group.get(name) === undefined, 15_000);
        await cluster.revive(name);
      }
      const before = statuses.length;
      await until(() => statuses.length > before + 20, 10_000);
    } finally {
      writing = false;
      await Promise.all(writers);
    }
    expect(statuses.filter((status) => status !== 201)).toEqual([]);
  });

  test("kill -9 of a notifier: its client resumes at the other one from its cursor, without hole or repeat", async () => {
    const { id, stream } = await newProject();
    const client = await connect(0, ben);
    const create = (title: string) => ada.api.must("POST", `/projects/${id}/tasks`, { title });
    await create("before");
    await client.waitFor(() => client.of(stream).length === 1);
    await cluster.kill("notifier-1");
    for (const title of ["while away 1", "while away 2"]) await create(title);

    const resumed = await connect(1, ben, { cursors: { [stream]: client.of(stream).at(-1)!.seq } });
    expect(resumed.ready[stream]).toMatchObject({ seq: 5, recovered: true });
    for (const title of ["after", "the last one"]) await create(title);
    await resumed.waitFor(() => resumed.of(stream).some(({ seq }) => seq === 7), "the last one");
    expect([...client.of(stream), ...resumed.of(stream)].map(({ seq }) => seq)).toEqual(numbersFrom(3, 5));
    await cluster.revive("notifier-1");
  });

  test("kill -9 of a notifier: requests that wait at it go on at the other one, and so do event streams", async () => {
    const { id, stream } = await newProject();
    const { cursors } = await ada.api.must("POST", "/sync", {});
    // Enough of them to have some on each notifier.
    const answers = [1, 2, 3, 4].map(() => ada.api.post("/sync", { cursors, wait: 20 }));
    const readers = await Promise.all(
      [1, 2, 3, 4].map(() =>
        EventReader.open(`${cluster.api.url}/projects/${id}/events/stream?after=2`, ada.token),
      ),
    );
    // Syncs that are sent after those that wait, and don't wait, are answered by both notifiers: the others have begun.
    for (let round = 0; round < 4; round++) await ada.api.must("POST", "/sync", { cursors, wait: 0 });
    await cluster.kill("notifier-1");
    await ada.api.must("POST", `/projects/${id}/tasks`, { title: "Write it" });
    const since = calmNow();
    for (const { status, body } of await Promise.all(answers))
      expect([status, body.events.map((event: Wire) => [event.stream, event.seq])]).toEqual([
        200,
        [[stream, 3]],
      ]);
    for (const reader of readers) {
      await reader.waitFor(() => reader.frames.length > 0);
      expect(reader.frames.map(({ data }) => data.seq)).toEqual([3]);
      reader.close();
    }
    expect(calmNow() - since).toBeLessThan(3000);
    await cluster.revive("notifier-1");
  });

  test("a notifier keeps an idle connection longer than a balancer in front of it does", async () => {
    const response = await fetch(`${cluster.notifiers[0]}/ws/?EIO=4&transport=polling`);
    expect([response.status, response.headers.get("keep-alive")]).toEqual([200, "timeout=75"]);
    await response.body?.cancel();
  });

  test("SIGTERM of a notifier ends its own sockets alone; their stock clients come back by themselves and miss nothing", async () => {
    const { id, stream } = await newProject();
    const create = (title: string) => ada.api.must("POST", `/projects/${id}/tasks`, { title });
    const url = cluster.notifiers[0];
    const leaving = await TestSocket.connect(url, { token: ben.token }, { reconnection: true });
    sockets.push(leaving);
    const staying = await connect(1, ben);
    await create("before");
    await leaving.waitFor(() => leaving.of(stream).length === 1);
    await cluster.stopNode("notifier-1");
    await leaving.waitFor(() => leaving.ends.length > 0, "the end of the connection");
    // Which of the two a client sees goes by what reached it first, the closing frame or the closed connection.
    expect(["transport close", "transport error"]).toContain(leaving.ends[0]);
    await create("while away");
    await cluster.revive("notifier-1");
    await create("after");
    for (const client of [leaving, staying]) {
      await client.waitFor(() => client.of(stream).length >= 3, "what was missed");
      expect(client.of(stream).map(({ seq }) => seq)).toEqual(numbersFrom(3, 3));
    }
    // `ready` follows the replay.
    await leaving.waitFor(() => leaving.ready[stream]!.recovered, "a ready that says recovered");
    expect(staying.ends).toEqual([]);
  });

  test("a frozen notifier delays nobody else's frames: each hint reaches every notifier by itself", async () => {
    const { id, stream } = await newProject();
    const client = await connect(1, ben);
    cluster.group.kill("notifier-1", "SIGSTOP");
    try {
      const started = calmNow();
      for (let n = 1; n <= 20; n++) {
        await ada.api.must("POST", `/projects/${id}/tasks`, { title: `While it is frozen ${n}` });
        await client.waitFor(() => client.of(stream).length === n);
      }
      // A frame whose hint is lost waits for the beat, half a second on average.
      expect(calmNow() - started).toBeLessThan(4000);
    } finally {
      cluster.group.kill("notifier-1", "SIGCONT");
    }
    expect(client.of(stream).map(({ seq }) => seq)).toEqual(numbersFrom(3, 20));
  });

  test("Redis dies and comes back: frames keep coming on every notifier, and no node ends", async () => {
    const { id, stream } = await newProject();
    const clients = [await connect(0, ada), await connect(1, ben)];
    const create = (title: string) => ada.api.must("POST", `/projects/${id}/tasks`, { title });
    await create("with Redis");
    await cluster.redis.kill();
    for (const title of ["without 1", "without 2", "without 3"]) await create(title);
    for (const client of clients) await client.waitFor(() => client.of(stream).length === 4);
    await cluster.redis.restart();
    await create("with Redis again");
    for (const client of clients) {
      await client.waitFor(() => client.of(stream).length === 5);
      expect(client.of(stream).map(({ seq }) => seq)).toEqual(numbersFrom(3, 5));
    }
    expect(cluster.group.list()).toHaveLength(8);
  });

  test("NATS dies: requests get a prompt problem; it comes back: they are served, and no event was lost", async () => {
    const { id, stream } = await newProject();
    const clients = [await connect(0, ada), await connect(1, ben)];
    const path = `/projects/${id}/tasks`;
    await ada.api.must("POST", path, { title: "with NATS" });
    await cluster.nats.kill();

    const began = calmNow();
    const answer = await ada.api.post(path, { title: "without NATS" });
    expect([503, 504]).toContain(answer.status);
    expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    expect(calmNow() - began).toBeLessThan(3000);

    await cluster.nats.restart();
    expect(await until(async () => (await ada.api.get(path)).status === 200, 15_000)).toBe(true);
    expect(
      await until(async () => (await ada.api.post(path, { title: "again" })).status === 201, 15_000),
    ).toBe(true);
    const { total } = await ada.api.must("GET", path);
    for (const client of clients) {
      await client.waitFor(() => client.of(stream).length === total);
      expect(client.of(stream).map(({ seq }) => seq)).toEqual(numbersFrom(3, total));
    }
    expect(cluster.group.list()).toHaveLength(8);
  });

  describe("the longest texts, of characters that take many bytes", () => {
    const TASKS = 100;
    const [three, four] = ["€", "😀"].map((character) => character.repeat(10_000)) as [string, string];
    /** Of what JSON writes in six bytes each. */
    const escaped = "\u0001".repeat(10_000);
    let path: string;
    let ids: string[] = [];

    /** Operations a quarter at a time: a body has a megabyte at the most. @returns their results */
    const bulk = async (operations: object[], size = TASKS / 4): Promise<Wire[]> => {
      const results: Wire[] = [];
      for (let at = 0; at < operations.length; at += size)
        results.push(
          ...(await ada.api.must("POST", "/tasks/bulk", { operations: operations.slice(at, at + size) }))
            .results,
        );
      return results;
    };
    const texts = (list: Wire): Set<string> =>
      new Set(list.items.map(({ description }: Wire) => description));

    beforeAll(async () => {
      const { id } = await newProject();
      path = `/projects/${id}`;
      const created = await bulk(
        numbersFrom(1, TASKS).map((n) => ({
          op: "create",
          title: `Long ${n}`,
          description: three,
          project_id: id,
        })),
      );
      ids = created.map(({ task }) => task.id);
      await bulk(ids.map((task) => ({ op: "update", id: task, description: four })));
    });

    test("a page of a hundred tasks", async () => {
      const page = await ada.api.must("GET", `${path}/tasks?limit=100`);
      expect([page.items.length, texts(page)]).toEqual([TASKS, new Set([four])]);
    });

    test("the answer of a bulk, and of the same bulk again", async () => {
      const operations = ids.map((id, n) => ({ op: "update", id, title: `Renamed ${n}` }));
      const key = { "Idempotency-Key": `renamed-${path}` };
      for (const replayed of [null, "true"]) {
        const { status, body, headers } = await ada.api.post("/tasks/bulk", { operations }, key);
        expect([status, headers.get("idempotency-replayed")]).toEqual([200, replayed]);
        expect(texts({ items: body.results.map(({ task }: Wire) => task) })).toEqual(new Set([four]));
      }
    });

    test("the log, in pages of fewer events, without a hole", async () => {
      const seqs: number[] = [];
      for (let head = Infinity; (seqs.at(-1) ?? 0) < head;) {
        const page = await ada.api.must("GET", `${path}/events?limit=100&after=${seqs.at(-1) ?? 0}`);
        head = page.head;
        expect(page.items.length).toBeGreaterThan(0);
        seqs.push(...page.items.map(({ seq }: Wire) => seq));
      }
      expect(seqs).toEqual(numbersFrom(1, seqs.length));
      expect(seqs.length).toBeGreaterThanOrEqual(3 * TASKS);
    });

    test("what JSON writes in six bytes a character: tasks, comments, and what a bulk answers", async () => {
      const db = new pg.Client({ connectionString: cluster.databaseUrl });
      await db.connect();
      try {
        await db.query("UPDATE tasks.tasks SET description = $1 WHERE id = ANY ($2)", [escaped, ids]);
        await db.query(
          `INSERT INTO tasks.comments (id, task_id, author_id, body, created_at, updated_at)
           SELECT gen_random_uuid(), $1, $2, $3, now(), now() FROM generate_series(1, 100)`,
          [ids[0], ada.id, escaped],
        );
      } finally {
        await db.end();
      }
      const page = await ada.api.must("GET", `${path}/tasks?limit=100&sort=created_at`);
      expect([page.items.length, texts(page)]).toEqual([TASKS, new Set([escaped])]);
      const comments = await ada.api.must("GET", `/tasks/${ids[0]}/comments?limit=100`);
      expect(comments.items.map(({ body }: Wire) => body)).toEqual(Array(100).fill(escaped));
      const results = await bulk(
        ids.map((id) => ({ op: "update", id, priority: "high" })),
        TASKS,
      );
      expect(results).toHaveLength(TASKS);
    });
  });
});
