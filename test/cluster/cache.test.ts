import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import pg from "pg";
import { startRedis } from "../../local/redis.ts";
import { until } from "../../local/until.ts";
import { MemoryAnswers, RedisAnswers } from "../../mixins/cache-store.ts";
import { Random } from "../chaos/random.ts";
import type { Api, Person, Wire } from "../support/api.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";

let cluster: TestCluster;
let second: Api;
let ada: Person;
let ben: Person;
let project: Wire;

beforeAll(async () => {
  cluster = await startTestCluster();
  second = await cluster.addGateway("gateway-2");
  [ada, ben] = (await Promise.all([cluster.api.person("ada"), cluster.api.person("ben")])) as [
    Person,
    Person,
  ];
  project = await ada.api.must("POST", "/projects", { name: "Shared" });
});
afterAll(() => cluster?.stop());

const member = () =>
  ada.api.must("POST", `/projects/${project.id}/members`, { user_id: ben.id, role: "member" });
const create = (title: string): Promise<Wire> =>
  ada.api.must("POST", `/projects/${project.id}/tasks`, { title });

/** What is cached, as Ada and as Ben read it through either gateway. */
const reads = (task: Wire) => [
  `/tasks/${task.id}`,
  `/projects/${project.id}/tasks`,
  `/tasks?project_id=${project.id}&limit=5`,
  `/projects/${project.id}`,
  "/projects",
];

/** Writes by one gateway and reads by the other: what was written is there, each time. */
async function readsItsOwnWrites(rounds: number): Promise<void> {
  const task = await create("Round");
  const there = second.as(ada.token);
  for (let round = 0; round < rounds; round++) {
    const title = `Round ${round} "version":7 é`;
    const assigned_to = round % 2 === 0 ? ada.id : null;
    const due_date = `2027-01-01T10:00:00.${round % 10}+02:00`;
    const patched = await ada.api.must("PATCH", `/tasks/${task.id}`, { title, assigned_to, due_date });
    expect(patched.title).toBe(title);
    const { body: detail, headers } = await there.get(`/tasks/${task.id}`);
    expect(detail).toMatchObject({ ...patched, assignee: assigned_to && { id: ada.id } });
    expect(headers.get("etag")).toMatch(`"${patched.version}-`);
    const { items } = await there.must("GET", `/projects/${project.id}/tasks`);
    expect(items[0]).toEqual(patched);
    await there.must("POST", `/tasks/${task.id}/comments`, { body: title });
    expect((await ada.api.must("GET", `/tasks/${task.id}`)).comment_count).toBe(round + 1);
    await there.must("PATCH", `/projects/${project.id}`, { description: title });
    expect((await ada.api.must("GET", `/projects/${project.id}`)).description).toBe(title);
    await ada.api.must("PATCH", `/users/${ada.id}`, { first_name: title });
    expect((await there.must("GET", `/tasks/${task.id}`)).creator.first_name).toBe(title);
  }
}

test("the end of a write is sent with the beginning of the next one, or soon after it", async () => {
  // Its scripts are counted, and nobody else sends any here.
  const redis = await startRedis();
  const client = new Redis(redis.url);
  try {
    const store = new RedisAnswers(client, "test");
    const question = { key: "answer", viewer: "ada", user: "user:ada", names: ["name"] };
    /** Asks, and keeps an answer where there is none. */
    const isFound = async (): Promise<boolean> => {
      const found = await store.find("epoch", question);
      if ("text" in found) return true;
      await store.keep("epoch", question, found.clock, { names: [], text: "An answer" });
      return false;
    };
    const found = async () => [await isFound(), await isFound()];
    const scripts = async () =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info("commandstats"))?.[1]);
    expect(await found()).toEqual([false, true]);
    await store.begin("epoch", ["name"], "first");
    // Nothing is kept while a write is under way.
    expect(await found()).toEqual([false, false]);
    await store.end("epoch", ["name"], "first");
    expect(await found()).toEqual([false, true]);
    await store.begin("epoch", ["name"], "second");
    const before = await scripts();
    const ended = store.end("epoch", ["name"], "second");
    await store.begin("epoch", ["other"], "third");
    await ended;
    expect((await scripts()) - before).toBe(1);
    expect(await found()).toEqual([false, true]);
    // The end of another epoch is no part of it.
    const [late] = [store.end("epoch", ["other"], "third"), await store.begin("later", ["name"], "fourth")];
    await late;
    expect(await found()).toEqual([true, true]);
  } finally {
    client.disconnect();
    await redis.stop();
  }
});

test("answers in Redis are those of a lone process, whatever happens to them", async () => {
  const client = new Redis(cluster.redis.url);
  const stores = [new RedisAnswers(client, "alike"), new MemoryAnswers()];
  const random = new Random(7);
  const names = ["a", "b", "part"];
  const questions = ["list", "detail"].map((key) => ({
    key,
    viewer: "ada",
    user: "user:ada",
    names: ["a", "part"],
  }));
  const clocks = new Map<string, number[]>();
  const writes: { names: string[]; id: string }[] = [];
  const hits: (string | null)[] = [];
  for (let step = 0; step < 1000; step++) {
    const [question, draw] = [random.pick(questions), random.next()];
    if (draw < 0.45) {
      const found = await Promise.all(stores.map((store) => store.find("epoch", question)));
      const texts = found.map((one) => ("text" in one ? one.text : null));
      expect(texts).toEqual([texts[1], texts[1]]);
      hits.push(texts[0] ?? null);
      clocks.set(
        question.key,
        found.map((one) => ("clock" in one ? one.clock : NaN)),
      );
    } else if (draw < 0.85) {
      const parts = [
        { name: "part", text: `é${step}`, at: 1 },
        { name: "", text: `own${step}`, at: 2 },
      ];
      const kept = { names: ["b"], realm: "realm", text: `ü-${step}`, parts };
      const [inRedis = NaN, inMemory = NaN] = clocks.get(question.key) ?? [];
      clocks.delete(question.key);
      if (Number.isNaN(inRedis)) continue;
      await Promise.all([
        stores[0]?.keep("epoch", question, inRedis, kept),
        stores[1]?.keep("epoch", question, inMemory, kept),
      ]);
    } else if (draw < 0.91) {
      const write = {
        names: names.filter((name) => random.next() < (name === "part" ? 0.9 : 0.1)),
        id: `w${step}`,
      };
      writes.push(write);
      await Promise.all(stores.map((store) => store.begin("epoch", write.names, write.id)));
    } else if (writes.length > 0) {
      const [write] = writes.splice(random.whole(0, writes.length - 1), 1);
      const { names: ended, id } = write as (typeof writes)[number];
      const shown =
        ended.includes("part") && random.next() < 0.7 ? { name: "part", text: `ö${step}` } : undefined;
      await Promise.all(stores.map((store) => store.end("epoch", ended, id, shown)));
    }
  }
  client.disconnect();
  // Answers were found, also with a part that a write told.
  expect(hits.filter((hit) => hit !== null).length).toBeGreaterThan(100);
  expect(hits.filter((hit) => hit?.includes("ö")).length).toBeGreaterThan(20);
});

test("who was answered reads what they wrote, through any gateway", () => readsItsOwnWrites(20));

test("a page of the longest tasks, and a bulk request that changes them all, pass through the broker", async () => {
  const { id } = await ada.api.must("POST", "/projects", { name: "Long" });
  const create = { op: "create", title: "Long", description: `a${"\u0001".repeat(9999)}`, project_id: id };
  const made: Wire[] = [];
  for (let n = 0; n < 5; n++) {
    const operations = Array.from({ length: 16 }, () => create);
    made.push(...(await ada.api.must("POST", "/tasks/bulk", { operations })).results);
  }
  const page = await ada.api.must("GET", `/projects/${id}/tasks?limit=100`);
  expect(page.items).toHaveLength(80);
  const operations = made.map(({ task }) => ({ op: "update", id: task.id, title: "Longer" }));
  const { results } = await ada.api.must("POST", "/tasks/bulk", { operations });
  expect(results).toHaveLength(80);
  const rewrite = made.map(({ task }) => ({
    op: "update",
    id: task.id,
    description: `b${"\u0002".repeat(9999)}`,
  }));
  await ada.api.must("POST", "/tasks/bulk", { operations: rewrite.slice(0, 15) });
  await ada.api.must("POST", "/tasks/bulk", { operations: rewrite.slice(15, 30) });
  const log: number[] = [];
  for (let head = Infinity; (log.at(-1) ?? 0) < head;) {
    const page = await ada.api.must("GET", `/projects/${id}/events?after=${log.at(-1) ?? 0}&limit=100`);
    log.push(...page.items.map(({ seq }: Wire): number => seq));
    head = page.head;
  }
  expect(log).toEqual(Array.from({ length: 191 }, (_, n) => n + 1));
});

test("each member reads the role of their own, and another one once they have it", async () => {
  await member();
  const role = async (gateway: Api, { token }: Person) =>
    (await gateway.as(token).must("GET", `/projects/${project.id}`)).role;
  for (const expected of ["member", "manager", "viewer"]) {
    if (expected !== "member")
      await ada.api.must("PATCH", `/projects/${project.id}/members/${ben.id}`, { role: expected });
    for (let n = 0; n < 3; n++)
      for (const gateway of [cluster.api, second])
        expect([await role(gateway, ada), await role(gateway, ben)]).toEqual(["owner", expected]);
  }
  await ada.api.must("DELETE", `/projects/${project.id}/members/${ben.id}`);
});

test("who is no member any more reads nothing, though they just did", async () => {
  const task = await create("Secret");
  for (let round = 0; round < 10; round++) {
    await member();
    for (const path of reads(task))
      for (const api of [ben.api, second.as(ben.token)]) expect((await api.get(path)).status).toBe(200);
    await ada.api.must("DELETE", `/projects/${project.id}/members/${ben.id}`);
    for (const path of reads(task))
      for (const api of [ben.api, second.as(ben.token)]) {
        const { status, body } = await api.get(path);
        expect(status === 404 || body.items.length === 0 ? "nothing" : [path, body]).toBe("nothing");
      }
  }
});

test("a project that is restored while an account's tasks are cleared shows them as they are then", async () => {
  const cy = await cluster.api.person("cy");
  const there = second.as(ada.token);
  const [shown, other] = [
    await ada.api.must("POST", "/projects", { name: "Restored" }),
    await ada.api.must("POST", "/projects", { name: "Gone" }),
  ];
  const assign = async ({ id }: Wire): Promise<Wire> => {
    await ada.api.must("POST", `/projects/${id}/members`, { user_id: cy.id, role: "member" });
    return ada.api.must("POST", `/projects/${id}/tasks`, { title: "Cy's", assigned_to: cy.id });
  };
  const [task, held] = [await assign(shown), await assign(other)];
  for (const { id } of [shown, other]) await ada.api.must("DELETE", `/projects/${id}`);
  const assignees = async () => [
    (await there.must("GET", `/projects/${shown.id}/tasks`)).items[0].assigned_to,
    (await there.must("GET", `/tasks/${task.id}`)).assigned_to,
  ];
  const [holder, observer] = [
    new pg.Client({ connectionString: cluster.databaseUrl }),
    new pg.Client({ connectionString: cluster.databaseUrl }),
  ];
  await Promise.all([holder.connect(), observer.connect()]);
  const isWaiting = async () =>
    (await observer.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).rows.length > 0;
  try {
    await holder.query("BEGIN");
    await holder.query("SELECT FROM tasks.tasks WHERE id = $1 FOR UPDATE", [held.id]);
    const erased = cy.api.delete(`/users/${cy.id}`);
    expect(await until(isWaiting, 10_000)).toBe(true);
    await ada.api.must("POST", `/projects/${shown.id}/restore`);
    for (let n = 0; n < 3; n++) expect(await assignees()).toEqual([cy.id, cy.id]);
    await holder.query("ROLLBACK");
    await erased;
    expect(await until(async () => (await assignees()).every((id) => id === null), 5000)).toBe(true);
  } finally {
    await Promise.all([holder.end(), observer.end()]);
  }
});

test("nodes that die with a write under way: what they wrote is read at once, and nothing older", async () => {
  const task = await create("Before");
  const there = second.as(ada.token);
  for (let n = 0; n < 3; n++) expect((await there.must("GET", `/tasks/${task.id}`)).title).toBe("Before");
  const [holder, observer] = [
    new pg.Client({ connectionString: cluster.databaseUrl }),
    new pg.Client({ connectionString: cluster.databaseUrl }),
  ];
  await Promise.all([holder.connect(), observer.connect()]);
  const waitsForLock = async () =>
    (await observer.query("SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'")).rows.length > 0;
  const titleOf = async () =>
    (await observer.query<{ title: string }>("SELECT title FROM tasks.tasks WHERE id = $1", [task.id]))
      .rows[0]?.title;
  try {
    await holder.query("BEGIN");
    await holder.query("SELECT FROM tasks.tasks WHERE id = $1 FOR UPDATE", [task.id]);
    const patched = ada.api.patch(`/tasks/${task.id}`, { title: "After" });
    expect(await until(waitsForLock, 5000)).toBe(true);
    // Nobody is left who could say that the write has happened.
    await Promise.all(["tasks-1", "tasks-2"].map((name) => cluster.kill(name)));
    await holder.query("ROLLBACK");
    await until(async () => (await titleOf()) === "After" || !(await waitsForLock()), 5000);
    await patched;
    const [title, read] = [await titleOf(), await there.get(`/tasks/${task.id}`)];
    if (read.status === 200) expect(read.body.title).toBe(title);
    await Promise.all(["tasks-1", "tasks-2"].map((name) => cluster.revive(name)));
    expect(await until(async () => (await there.get(`/tasks/${task.id}`)).status === 200, 10_000)).toBe(true);
    expect((await there.must("GET", `/tasks/${task.id}`)).title).toBe(await titleOf());
  } finally {
    await Promise.all([holder.end(), observer.end()]);
  }
});

test("the same while Redis is frozen, killed, and after it is back", async () => {
  cluster.redis.pause();
  await readsItsOwnWrites(1);
  cluster.redis.resume();
  await readsItsOwnWrites(1);
  await cluster.redis.kill();
  await readsItsOwnWrites(3);
  await cluster.redis.restart();
  await until(async () => (await ada.api.get("/projects")).status === 200, 5000);
  await readsItsOwnWrites(10);
});
