import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { until } from "../../local/until.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { openDatabase } from "../support/database.ts";
import { expectProblem } from "../support/expectations.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

let node: TestNode;
let db: pg.Client;
let owner: Person;
let viewer: Person;
beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  [owner, viewer] = await Promise.all([node.api.person("owner"), node.api.person("viewer")]);
});
afterAll(async () => {
  await db.end();
  await node.stop();
});

async function newProject(): Promise<Wire> {
  const project = await owner.api.must("POST", "/projects", { name: "Engine" });
  await owner.api.must("POST", `/projects/${project.id}/members`, { user_id: viewer.id, role: "viewer" });
  return project;
}

const COMMENTS = 4000;

/** A project of more than all buffers on the way hold, so that its snapshot can't end before its client has read. */
async function largeProject(): Promise<Wire> {
  const project = await newProject();
  const { id } = await owner.api.must("POST", `/projects/${project.id}/tasks`, { title: "Discussed" });
  await db.query(
    `INSERT INTO tasks.comments (id, task_id, author_id, body, version, created_at, updated_at)
     SELECT gen_random_uuid(), $1, $2, repeat('x', 9000), 1, now(), now() FROM generate_series(1, ${COMMENTS})`,
    [id, owner.id],
  );
  return project;
}

const snapshotOf = (project: Wire, who = viewer): Promise<Answer> =>
  who.api.get(`/projects/${project.id}/snapshot`);

const dataOf = ({ body }: Answer, type: string): Wire[] =>
  body.filter((line: Wire) => line.type === type).map(({ data }: Wire): Wire => data);

const byId = (items: Wire[]): Wire[] => items.toSorted((a, b) => (a.id < b.id ? -1 : 1));

/** A response whose client reads nothing until it is told to. */
async function open(project: Wire, who = viewer): Promise<IncomingMessage> {
  const url = `${node.url}/projects/${project.id}/snapshot`;
  const asked = request(url, { headers: { Authorization: `Bearer ${who.token}` }, agent: false }).end();
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  return response;
}

/** Between two of its pages a snapshot's connection is idle in its transaction. */
const ON_SNAPSHOTS = `FROM pg_stat_activity
   WHERE datname = current_database() AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'`;
const snapshotsInPostgres = async () => (await db.query(`SELECT ${ON_SNAPSHOTS}`)).rowCount;
const noSnapshotIsLeft = () => until(async () => (await snapshotsInPostgres()) === 0, 5000);

const linesOf = (body: string): Wire[] =>
  body
    .trimEnd()
    .split("\n")
    .map((line): Wire => JSON.parse(line));

describe("GET /projects/{project}/snapshot", () => {
  test("is the state that REST shows, at the head of the log", async () => {
    const project = await newProject();
    const make = (title: string) => owner.api.must("POST", `/projects/${project.id}/tasks`, { title });
    const [first, second, deleted] = [await make("one"), await make("two"), await make("three")];
    for (const task of [first, first, second, deleted])
      await owner.api.must("POST", `/tasks/${task.id}/comments`, { body: "Hm" });
    await owner.api.must("DELETE", `/tasks/${deleted.id}`);
    await owner.api.must("POST", "/tasks", { title: "personal" });

    const answer = await snapshotOf(project);
    expect([answer.status, answer.headers.get("content-type"), answer.headers.get("cache-control")]).toEqual([
      200,
      "application/x-ndjson",
      "no-store",
    ]);
    const { items, head } = await viewer.api.must("GET", `/projects/${project.id}/events?limit=100`);
    expect(answer.body[0]).toEqual({
      type: "head",
      stream: `project:${project.id}`,
      seq: head,
      id: items.at(-1).id,
    });
    const { items: tasks } = await viewer.api.must("GET", `/projects/${project.id}/tasks`);
    expect(byId(dataOf(answer, "task"))).toEqual(byId(tasks));
    const comments = await Promise.all(
      tasks.map(({ id }: Wire) => viewer.api.must("GET", `/tasks/${id}/comments`)),
    );
    expect(byId(dataOf(answer, "comment"))).toEqual(byId(comments.flatMap(({ items }: Wire) => items)));
    const added = items.filter(({ type }: Wire) => type === "member_added");
    expect(dataOf(answer, "member")).toHaveLength(2);
    expect(dataOf(answer, "member")).toEqual(
      expect.arrayContaining(added.map(({ data }: Wire): Wire => data.member)),
    );
    expect(answer.body.at(-1)).toEqual({ type: "end", count: 2 + 2 + 3 });
    expect(answer.body).toHaveLength(1 + 7 + 1);
  });

  test("is found by slug too, under both prefixes, and hidden from strangers", async () => {
    const project = await newProject();
    expect((await viewer.api.get(`/api/v1/projects/${project.slug}/snapshot`)).status).toBe(200);
    const stranger = await node.api.person();
    expectProblem(await snapshotOf(project, stranger), 404, "not-found");
    expectProblem(
      await viewer.api.get(`/projects/${project.id}/snapshot?limit=1`),
      422,
      "validation-failed",
      ["?limit"],
    );
    expect(await noSnapshotIsLeft()).toBe(true);
  });

  test("goes to a client that accepts lines of JSON", async () => {
    const project = await newProject();
    const accepting = (Accept: string) => viewer.api.get(`/projects/${project.id}/snapshot`, { Accept });
    expect((await accepting("application/x-ndjson")).status).toBe(200);
    expectProblem(await accepting("application/json"), 406, "not-acceptable");
  });

  test("answers HEAD with its headers, and keeps nothing open", async () => {
    const project = await largeProject();
    const { status, headers, body } = await viewer.api.request("HEAD", `/projects/${project.id}/snapshot`);
    expect([status, headers.get("content-type"), body]).toEqual([200, "application/x-ndjson", null]);
    expect(await noSnapshotIsLeft()).toBe(true);
  });
});

describe("a snapshot that is read slowly", () => {
  let project: Wire;
  beforeAll(async () => {
    project = await largeProject();
  });

  test("does not show what is written meanwhile: the events after it are exactly the rest", async () => {
    const response = await open(project);
    const [task] = (await owner.api.must("GET", `/projects/${project.id}/tasks`)).items;
    const { items } = await owner.api.must("GET", `/tasks/${task.id}/comments?limit=100`);
    const [edited, deleted] = items;
    await owner.api.must("PATCH", `/tasks/${task.id}/comments/${edited.id}`, { body: "Edited" });
    await owner.api.must("DELETE", `/tasks/${task.id}/comments/${deleted.id}`);
    await owner.api.must("PATCH", `/tasks/${task.id}`, { title: "Decided" });
    const created = await owner.api.must("POST", `/projects/${project.id}/tasks`, { title: "Late" });

    const lines = linesOf(await text(response));
    expect(lines.at(-1)).toEqual({ type: "end", count: 2 + 1 + COMMENTS });
    const shown = new Map(lines.slice(3, -1).map(({ data }): [string, Wire] => [data.id, data]));
    expect([task, edited, deleted, created].map(({ id }) => shown.get(id))).toEqual([
      task,
      edited,
      deleted,
      undefined,
    ]);
    expect(shown.size).toBe(1 + COMMENTS);
    const page = await viewer.api.must("GET", `/projects/${project.id}/events?after=${lines[0].seq}`);
    expect(page.items.map(({ type, data }: Wire) => [type, (data.comment ?? data.task).id])).toEqual([
      ["comment_updated", edited.id],
      ["comment_deleted", deleted.id],
      ["task_updated", task.id],
      ["task_created", created.id],
    ]);
  });

  test("waits in Postgres, and ends there when its client hangs up", async () => {
    const response = await open(project);
    expect(await until(async () => (await snapshotsInPostgres()) === 1, 5000)).toBe(true);
    response.destroy();
    expect(await noSnapshotIsLeft()).toBe(true);
  });

  test("that fails midway is cut, without an end", async () => {
    const response = await open(project);
    const killed = async () => (await db.query(`SELECT pg_terminate_backend(pid) ${ON_SNAPSHOTS}`)).rowCount;
    expect(await until(async () => (await killed()) === 1, 5000)).toBe(true);
    let read = "";
    response.setEncoding("utf8").on("data", (chunk: string) => (read += chunk));
    await expect(once(response, "end")).rejects.toThrow(/aborted/);
    expect(read).toContain('"type":"head"');
    expect(read).not.toContain('"type":"end"');
  });

  test("is one of two of its user, and of six at a node", async () => {
    const others = await Promise.all(["a", "b"].map((name) => node.api.person(name)));
    for (const { id } of others)
      await owner.api.must("POST", `/projects/${project.id}/members`, { user_id: id, role: "viewer" });
    const [first, second] = others as [Person, Person];
    const held = [await open(project), await open(project)];
    const refused = await snapshotOf(project);
    expectProblem(refused, 429, "rate-limited");
    expect(refused.headers.get("retry-after")).toBe("1");

    for (const who of [first, first, second, second]) held.push(await open(project, who));
    const overloaded = await snapshotOf(project, owner);
    expectProblem(overloaded, 503, "overloaded");
    expect(overloaded.headers.get("retry-after")).toBe("1");

    held.forEach((response) => response.destroy());
    expect(await noSnapshotIsLeft()).toBe(true);
    expect((await snapshotOf(project)).body.at(-1).type).toBe("end");
  });
});
