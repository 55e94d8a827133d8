/** A pasted secret goes from the row, the log and the answers that are remembered. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import type { Database } from "../../mixins/database.ts";
import { responsesAbout, redactResponses } from "../../mixins/idempotency.ts";
import { REDACTED } from "../../services/tasks/tasks.view.ts";
import type { Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { TestSocket } from "../support/socket.ts";
import { makeCast, makeProject } from "../support/cast.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem } from "../support/expectations.ts";

const SECRET = "hunter2-0f9e8d";

let node: TestNode;
let db: pg.Client;
let owner: Person;
let manager: Person;
let member: Person;
let viewer: Person;
let stranger: Person;
let boss: Person;
let admin: Person;
let project: Wire;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  const cast = await makeCast(node, db);
  ({ owner, manager, member, viewer, stranger, boss, admin } = cast);
  project = await makeProject(cast);
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

/** Where the database still has the secret. */
async function traces(secret = SECRET): Promise<string[]> {
  const { rows } = await db.query<{ place: string }>(
    `SELECT 'log ' || stream || ' ' || type AS place FROM events.log WHERE data::text LIKE $1
     UNION ALL SELECT 'key' FROM idempotency.keys WHERE response::text LIKE $1
     UNION ALL SELECT 'task' FROM tasks.tasks t WHERE t::text LIKE $1
     UNION ALL SELECT 'comment' FROM tasks.comments c WHERE c::text LIKE $1`,
    [`%${secret}%`],
  );
  return rows.map(({ place }) => place);
}
const inProject = (fields: object = {}): Promise<Wire> =>
  owner.api.must("POST", `/projects/${project.id}/tasks`, { title: "x", ...fields });
const eventsOf = async (id: string): Promise<Wire[]> =>
  (await readStream(db, `project:${project.id}`)).filter(
    ({ data }) => data.task?.id === id || data.comment?.id === id,
  );

describe("a task", () => {
  test("is looked for in more answers than one look takes, and in those that are remembered after it", async () => {
    const secret = `later-${newId()}`;
    const made = await inProject({ title: secret });
    await db.query(
      `INSERT INTO idempotency.keys (user_id, key, fingerprint, response, kept_until)
       SELECT $1::uuid, 'many-' || n, '', CASE WHEN n = 1 THEN $2::json ELSE '{}' END, now() + interval '1 day' + n * interval '1 ms'
       FROM generate_series(1, 20001) n
       UNION ALL SELECT $1::uuid, 'first', '', $2::json, now() + interval '1 hour'`,
      [owner.id, JSON.stringify({ results: [{ task: made }] })],
    );
    const { db: tasksDb } = node.broker.getLocalService("tasks") as unknown as { db: Database };
    const { keys } = await responsesAbout(tasksDb, made.id, owner.id);
    const early = await responsesAbout(tasksDb, newId(), owner.id);
    expect(keys.map(({ key }) => key)).toEqual(expect.arrayContaining(["first", "many-1"]));
    const copy = await owner.api.post(`/tasks/${made.id}/assign`, { assigned_to: member.id });
    expect(copy.status).toBe(200);
    const named = { "Idempotency-Key": newId() };
    await owner.api.post(`/tasks/${made.id}/transitions`, { to: "in_progress" }, named);
    const held = keys.filter(({ key }) => key === "first");
    await redactResponses(tasksDb, made.id, REDACTED.task, { ...early, keys: held });
    expect((await traces(secret)).filter((place) => place === "key")).toEqual([]);

    await manager.api.must("POST", `/tasks/${made.id}/redact`);
    expect(await traces(secret)).toEqual([]);
    await db.query("DELETE FROM idempotency.keys WHERE key LIKE 'many-%'");
  });

  test("loses its texts in the row, in every event of every stream, and in remembered answers", async () => {
    const other = await inProject({ title: `${SECRET} of another` });
    const key = { "Idempotency-Key": newId() };
    const body = { title: SECRET, description: `key: ${SECRET}`, assigned_to: member.id };
    const made = (await owner.api.post(`/projects/${project.id}/tasks`, body, key)).body;
    await owner.api.must("PATCH", `/tasks/${made.id}`, { title: `not ${SECRET}`, priority: "high" });
    await owner.api.must("POST", `/tasks/${made.id}/assign`, { assigned_to: viewer.id });
    await owner.api.must("POST", "/tasks/bulk", {
      operations: [
        { op: "update", id: made.id, description: `${SECRET} again` },
        { op: "update", id: other.id, priority: "low" },
      ],
    });
    const before = await eventsOf(made.id);
    await owner.api.must("GET", `/projects/${project.id}/tasks`);

    const { status, headers, body: task } = await manager.api.post(`/tasks/${made.id}/redact`);
    expect([status, headers.get("etag")]).toEqual([200, '"5"']);
    expect(task).toMatchObject({
      id: made.id,
      title: "[redacted]",
      description: null,
      priority: "high",
      version: 5,
    });
    expect(await owner.api.must("GET", `/tasks/${made.id}`)).toMatchObject(task);
    const { items } = await owner.api.must("GET", `/projects/${project.id}/tasks`);
    expect(items.find(({ id }: Wire) => id === made.id)).toEqual(task);

    const after = await eventsOf(made.id);
    expect(after.slice(0, -1).map(({ seq, type }) => [seq, type])).toEqual(
      before.map(({ seq, type }) => [seq, type]),
    );
    for (const { data } of after.slice(0, -1))
      expect([data.task.title, data.task.description]).toEqual([null, null]);
    expect(after.map(({ data }) => data.changes).filter(Boolean)).toEqual([
      { title: { old: null, new: null }, priority: { old: "medium", new: "high" } },
      { assigned_to: { old: member.id, new: viewer.id } },
      { description: { old: null, new: null } },
    ]);
    expect(after.at(-1)).toMatchObject({ type: "task_redacted", data: { task } });

    // What is left is another's: as it was.
    expect(new Set(await traces())).toEqual(
      new Set([
        `log project:${project.id} task_created`,
        `log project:${project.id} task_updated`,
        "key",
        "task",
      ]),
    );
    const again = await owner.api.post(`/projects/${project.id}/tasks`, body, key);
    expect([again.status, again.headers.get("idempotency-replayed")]).toEqual([201, "true"]);
    expect(again.body).toEqual({ ...made, title: "[redacted]", description: null });
    await manager.api.must("POST", `/tasks/${other.id}/redact`);
    expect(await traces()).toEqual([]);
    expect((await owner.api.must("GET", `/tasks?q=${SECRET}`)).total).toBe(0);
  });

  test("that has nothing left to lose is as it is: no version, no event", async () => {
    const { id } = await inProject({ title: "once" });
    const first = await owner.api.must("POST", `/tasks/${id}/redact`);
    await owner.api.must("PATCH", `/tasks/${id}`, { priority: "low" });
    const count = (await eventsOf(id)).length;
    const again = await owner.api.must("POST", `/tasks/${id}/redact`);
    expect([again.version, again.title]).toEqual([first.version + 1, "[redacted]"]);
    expect(await eventsOf(id)).toHaveLength(count);
    // A text that only the log still has is something to lose.
    const { id: edited } = await inProject({ title: "[redacted]", description: SECRET });
    await owner.api.must("PATCH", `/tasks/${edited}`, { description: null });
    await owner.api.must("POST", `/tasks/${edited}/redact`);
    expect((await eventsOf(edited)).at(-1)?.type).toBe("task_redacted");
    expect(await traces()).toEqual([]);
  });

  test("that is deleted is redacted all the same, and can be restored", async () => {
    const { id } = await inProject({ title: SECRET });
    await owner.api.must("DELETE", `/tasks/${id}`);
    const { body } = await owner.api.post(`/tasks/${id}/redact`);
    expect(body).toMatchObject({ title: "[redacted]", version: 3, deleted_at: expect.any(String) });
    expect(await traces()).toEqual([]);
    expect((await owner.api.must("POST", `/tasks/${id}/restore`)).title).toBe("[redacted]");
  });

  test("that is personal is for its creator, and cleared on the assignee's stream too", async () => {
    const fields = { title: SECRET, assigned_to: member.id };
    const { id } = await owner.api.must("POST", "/tasks", fields);
    await owner.api.must("POST", `/tasks/${id}/assign`, { assigned_to: viewer.id });
    expectProblem(await viewer.api.post(`/tasks/${id}/redact`), 403, "forbidden");
    expectProblem(await member.api.post(`/tasks/${id}/redact`), 404, "not-found");
    expect((await owner.api.post(`/tasks/${id}/redact`)).status).toBe(200);
    expect(await traces()).toEqual([]);
    for (const { id: user } of [owner, viewer])
      expect((await readStream(db, `user:${user}`)).at(-1)?.type).toBe("task_redacted");
    expect((await readStream(db, `user:${member.id}`)).at(-1)?.type).not.toBe("task_redacted");
  });

  test("in a project is for its managers and owners, and for admins", async () => {
    const { id } = await inProject();
    const statuses = [];
    for (const who of [stranger, viewer, member, boss, manager, owner, admin])
      statuses.push((await who.api.post(`/tasks/${id}/redact`)).status);
    expect(statuses).toEqual([404, 403, 403, 403, 200, 200, 200]);
    const shelf = await owner.api.must("POST", "/projects", { name: "Shelf" });
    const shelved = await owner.api.must("POST", `/projects/${shelf.id}/tasks`, { title: "x" });
    await owner.api.must("PATCH", `/projects/${shelf.id}`, { status: "archived" });
    expectProblem(await owner.api.post(`/tasks/${shelved.id}/redact`), 409, "project-archived");
  });

  test("is told of to open sockets, and what a client reads of the log has no text", async () => {
    const { id } = await inProject({ title: SECRET });
    const stream = `project:${project.id}`;
    const socket = await TestSocket.connect(node.url, { token: viewer.token, streams: [stream] });
    await owner.api.must("POST", `/tasks/${id}/redact`);
    expect(await until(() => socket.events.some(({ type }) => type === "task_redacted"), 5000)).toBe(true);
    expect(JSON.stringify(socket.events)).not.toContain(SECRET);
    socket.socket.disconnect();
    const { head } = await viewer.api.must("GET", `/projects/${project.id}/events?limit=1`);
    const page = await viewer.api.must("GET", `/projects/${project.id}/events?limit=100&after=${head - 2}`);
    expect(page.items.map(({ type, data }: Wire) => [type, data.task.title])).toEqual([
      ["task_created", null],
      ["task_redacted", "[redacted]"],
    ]);
  });

  test("of a thousand events and more loses them all", async () => {
    const { id } = await inProject({ title: SECRET });
    await db.query(
      `INSERT INTO events.log (stream, seq, id, type, time, data)
       SELECT 'user:' || $1, 1000 + n, gen_random_uuid(), 'task_updated', now(),
              json_build_object('task', json_build_object('id', $2::text, 'title', $3::text))
       FROM generate_series(1, 2001) AS n`,
      [owner.id, id, SECRET],
    );
    expect((await owner.api.post(`/tasks/${id}/redact`)).status).toBe(200);
    expect(await traces()).toEqual([]);
  });
});

describe("a comment", () => {
  test("loses its text in the row and in the log, and its task nothing", async () => {
    const task = await inProject({ title: "Keep this" });
    const path = `/tasks/${task.id}/comments`;
    const comment = await member.api.must("POST", path, { body: SECRET });
    await member.api.must("PATCH", `${path}/${comment.id}`, { body: `${SECRET}!` });
    for (const [who, status] of [
      [stranger, 404],
      [viewer, 403],
      [member, 403],
    ] as const)
      expect((await who.api.post(`${path}/${comment.id}/redact`)).status).toBe(status);
    const { status, body } = await manager.api.post(`${path}/${comment.id}/redact`);
    expect([status, body]).toEqual([
      200,
      { ...comment, body: "[redacted]", version: 3, updated_at: body.updated_at },
    ]);
    expect(await owner.api.must("GET", `${path}/${comment.id}`)).toEqual(body);
    expect(
      (await eventsOf(comment.id)).map(({ type, data }) => [type, data.comment.body, data.changes]),
    ).toEqual([
      ["comment_created", null, undefined],
      ["comment_updated", null, { body: { old: null, new: null } }],
      ["comment_redacted", "[redacted]", undefined],
    ]);
    expect(await traces()).toEqual([]);
    expect((await owner.api.must("GET", `/tasks/${task.id}`)).title).toBe("Keep this");
    expect((await eventsOf(task.id))[0]?.data.task.title).toBe("Keep this");
  });

  test("that was deleted is cleared from the log, which is all that is left of it", async () => {
    const task = await inProject();
    const path = `/tasks/${task.id}/comments`;
    const comment = await member.api.must("POST", path, { body: SECRET });
    await member.api.must("DELETE", `${path}/${comment.id}`);
    expect(await traces()).not.toEqual([]);
    const { status, body } = await owner.api.post(`${path}/${comment.id}/redact`);
    expect([status, body]).toEqual([200, { ...comment, body: "[redacted]" }]);
    expect((await eventsOf(comment.id)).map(({ type }) => type)).toEqual([
      "comment_created",
      "comment_deleted",
      "comment_redacted",
    ]);
    expect(await traces()).toEqual([]);
    expectProblem(await owner.api.get(`${path}/${comment.id}`), 404, "not-found");
    const elsewhere = await inProject();
    expectProblem(
      await owner.api.post(`/tasks/${elsewhere.id}/comments/${comment.id}/redact`),
      404,
      "not-found",
    );
    expectProblem(await owner.api.post(`${path}/${newId()}/redact`), 404, "not-found");
  });
});
