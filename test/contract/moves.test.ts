/** The order on a board (docs/reference.md, Order on a board). */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { type Cast, makeCast, makeProject } from "../support/cast.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem } from "../support/expectations.ts";
import { startTestNode, type TestNode } from "../support/node.ts";

let node: TestNode;
let db: pg.Client;
let people: Cast;
let project: Wire;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  people = await makeCast(node, db);
  project = await makeProject(people);
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

const make = (fields: object = {}, who = people.owner): Promise<Wire> =>
  who.api.must("POST", "/tasks", { title: "Drag me", project_id: project.id, ...fields });
const move = (
  id: string,
  to?: object,
  who = people.member,
  headers?: Record<string, string>,
): Promise<Answer> => who.api.post(`/tasks/${id}/move`, to, headers);
const moved = async (id: string, to: object, who = people.member): Promise<Wire> =>
  who.api.must("POST", `/tasks/${id}/move`, to);

/** A project of the owner's with so many tasks of a status, and their ids in order. */
async function board(count: number, fields: object = {}): Promise<{ id: string; tasks: string[] }> {
  const { id } = await makeProject(people);
  const tasks: string[] = [];
  for (let n = 0; n < count; n++) tasks.push((await make({ project_id: id, ...fields })).id);
  return { id, tasks };
}
/** The ids of a project's tasks in their order, read page by page. */
async function orderOf(id: string, query = "", who: Person = people.viewer): Promise<string[]> {
  const ids: string[] = [];
  for (let cursor: string | null = ""; cursor !== null;) {
    const path = `/projects/${id}/tasks?sort=position&limit=2&cursor=${encodeURIComponent(cursor)}${query}`;
    const { items, next_cursor } = await who.api.must("GET", path);
    ids.push(...items.map((task: Wire): string => task.id));
    cursor = next_cursor;
  }
  return ids;
}
const eventsOf = async (stream: string, id: string): Promise<Wire[]> =>
  (await readStream(db, stream))
    .filter(({ data }) => data.task?.id === id)
    .map(({ type, data }) => ({ type, ...data }));

describe("the order", () => {
  test("of new tasks is that of their creation; lists and columns have it, in both directions", async () => {
    const { id, tasks } = await board(5);
    expect(await orderOf(id)).toEqual(tasks);
    await people.owner.api.must("POST", `/tasks/${tasks[1]}/transitions`, { to: "in_progress" });
    expect(await orderOf(id, "&status=pending")).toEqual(tasks.toSpliced(1, 1));
    expect(await orderOf(id, "&status=pending,in_progress")).toEqual(tasks);
    const { items } = await people.viewer.api.must("GET", `/tasks?project_id=${id}&sort=-position`);
    expect(items.map((task: Wire) => task.id)).toEqual(tasks.toReversed());
  });

  test("of tasks that one bulk request makes is that of its operations", async () => {
    const { id } = await makeProject(people);
    const operations = Array.from({ length: 20 }, (_, n) => ({
      op: "create",
      project_id: id,
      title: `${n}`,
    }));
    const { results } = await people.owner.api.must("POST", "/tasks/bulk", { operations });
    expect(await orderOf(id)).toEqual(results.map(({ task }: Wire) => task.id));
  });

  test("survives edits, transitions, deletion and restoring", async () => {
    const { id, tasks } = await board(3);
    const [first, second, third] = tasks as [string, string, string];
    const { api } = people.owner;
    await moved(third, { before: first });
    await api.must("PATCH", `/tasks/${third}`, { title: "Renamed", status: "completed" });
    await api.must("PUT", `/tasks/${second}`, { title: "Replaced" });
    await api.must("DELETE", `/tasks/${first}`);
    await api.must("POST", `/tasks/${first}/restore`);
    expect(await orderOf(id)).toEqual([third, first, second]);
  });

  test("is nothing that a client can set", async () => {
    const body = { title: "x", position: "a" };
    expectProblem(await people.owner.api.post("/tasks", body), 422, "validation-failed", ["#/position"]);
    const { id } = await make();
    const answer = await people.owner.api.patch(`/tasks/${id}`, { position: "a" });
    expectProblem(answer, 422, "validation-failed", ["#/position"]);
    expectProblem(await move(id, { position: "a" }), 422, "validation-failed", ["#/position"]);
  });
});

describe("a move", () => {
  test("puts the task directly before or after another one, and says so to the project", async () => {
    const { id, tasks } = await board(4);
    const [a, b, c, d] = tasks as [string, string, string, string];
    const before: Wire = await people.member.api.must("GET", `/tasks/${d}`);
    const { status, headers, body } = await move(d, { before: b });
    expect([status, headers.get("etag"), body.version]).toEqual([200, '"2"', 2]);
    expect(await orderOf(id)).toEqual([a, d, b, c]);
    expect((await eventsOf(`project:${id}`, d)).slice(1)).toEqual([
      { type: "task_moved", task: body, changes: { position: { old: before.position, new: body.position } } },
    ]);
    await moved(a, { after: c });
    expect(await orderOf(id)).toEqual([d, b, c, a]);
    await moved(c, { after: d, status: "pending" });
    expect(await orderOf(id)).toEqual([d, c, b, a]);
  });

  test("without a neighbour goes to the end of the column; new tasks still go last", async () => {
    const { id, tasks } = await board(3);
    const [a, b, c] = tasks as [string, string, string];
    await moved(a, {});
    expect(await orderOf(id)).toEqual([b, c, a]);
    await moved(b, {});
    const late = await make({ project_id: id });
    expect(await orderOf(id)).toEqual([c, a, b, late.id]);
    expect((await move(c)).status).toBe(200);
    expect((await orderOf(id)).at(-1)).toBe(c);
  });

  test("to another column is one event; to the completed ones it is a completion, too", async () => {
    const { id, tasks } = await board(4);
    const [a, b, c, d] = tasks as [string, string, string, string];
    await moved(c, { status: "in_progress" });
    await moved(d, { status: "in_progress", before: c });
    expect(await orderOf(id, "&status=in_progress")).toEqual([d, c]);
    await moved(a, { status: "in_progress", after: c });
    expect(await orderOf(id, "&status=in_progress")).toEqual([d, c, a]);
    const types = async (task: string) =>
      (await eventsOf(`project:${id}`, task)).map(({ type, changes = {} }) => [
        type,
        ...Object.keys(changes),
      ]);
    // Nothing is behind it in the column, so its place stays.
    expect(await types(c)).toEqual([["task_created"], ["task_moved", "status"]]);
    expect(await types(d)).toEqual([["task_created"], ["task_moved", "status", "position"]]);
    await moved(c, { status: "completed" });
    const done = await moved(b, { status: "completed", after: c });
    expect(done.completed_at).toBe(done.updated_at);
    expect(await types(b)).toEqual([
      ["task_created"],
      ["task_completed", "status", "completed_at"],
      ["task_moved", "position"],
    ]);
    expect(await moved(b, { status: "in_progress" })).toMatchObject({
      status: "in_progress",
      completed_at: null,
    });
    expect((await types(b)).slice(3)).toEqual([["task_moved", "status", "completed_at", "position"]]);
  });

  test("to where the task is changes nothing", async () => {
    const { id, tasks } = await board(3);
    const [a, b, c] = tasks as [string, string, string];
    for (const [task, to] of [
      [b, { before: c }],
      [b, { after: a, status: "pending" }],
      [a, { before: b }],
      [c, {}],
    ] as const)
      expect((await moved(task, to)).version).toBe(1);
    expect((await readStream(db, `project:${id}`)).some(({ type }) => type === "task_moved")).toBe(false);
  });

  test("sent again with its key happens once, wherever the task is by then", async () => {
    const { id, tasks } = await board(3);
    const [a, b, c] = tasks as [string, string, string];
    const key = { "Idempotency-Key": newId() };
    const first = await move(c, { before: a }, people.member, key);
    await moved(c, { after: b });
    const again = await move(c, { before: a }, people.member, key);
    expect([again.status, again.body, again.headers.get("idempotency-replayed")]).toEqual([
      200,
      first.body,
      "true",
    ]);
    expect(await orderOf(id)).toEqual([a, b, c]);
    const other = await move(c, { before: b }, people.member, key);
    expectProblem(other, 422, "idempotency-key-reused");
  });

  test("with If-Match is of the version that it names", async () => {
    const { tasks } = await board(2);
    const [a, b] = tasks as [string, string];
    const asOf = (version: number) => move(b, { before: a }, people.member, { "If-Match": `"${version}"` });
    expectProblem(await asOf(7), 412, "precondition-failed");
    expect((await asOf(1)).status).toBe(200);
  });
});

describe("a move is refused", () => {
  test("to those who may not edit the task, and in an archived project", async () => {
    const { id, tasks } = await board(2);
    const [a, b] = tasks as [string, string];
    expectProblem(await move(a, {}, people.viewer), 403, "forbidden");
    expectProblem(await move(a, {}, people.stranger), 404, "not-found");
    expect((await move(b, { before: a }, people.boss)).status).toBe(200);
    await people.owner.api.must("PATCH", `/projects/${id}`, { status: "archived" });
    expectProblem(await move(a, { before: b }), 409, "project-archived");
  });

  test("for a status that the task can't take; its own is none of these", async () => {
    const { tasks } = await board(2);
    const [a, b] = tasks as [string, string];
    expectProblem(await move(a, { status: "archived", before: b }), 409, "illegal-transition");
    expect((await move(b, { status: "pending", before: a })).status).toBe(200);
  });

  test.each<[string, (known: Record<string, string>) => object, string]>([
    ["a task that is not there", () => ({ before: newId() }), "#/before"],
    ["a task of another project, which the caller sees", ({ other = "" }) => ({ after: other }), "#/after"],
    ["a personal task", ({ personal = "" }) => ({ after: personal }), "#/after"],
    ["itself", ({ own = "" }) => ({ before: own.toUpperCase() }), "#/before"],
    ["no id", () => ({ before: "first" }), "#/before"],
    ["null", () => ({ after: null }), "#/after"],
    ["two tasks", ({ beside = "" }) => ({ before: beside, after: beside }), "#/after"],
    ["an unknown column", ({ beside = "" }) => ({ status: "done", after: beside }), "#/status"],
  ])("next to %s: 422", async (_what, to, pointer) => {
    const [own, beside, other, personal] = await Promise.all([
      make(),
      make(),
      make({ project_id: (await board(0)).id }),
      make({ project_id: null }, people.member),
    ]);
    const known = { own: own.id, beside: beside.id, other: other.id, personal: personal.id };
    expectProblem(await move(own.id, to(known)), 422, "validation-failed", [pointer]);
    expect((await people.member.api.must("GET", `/tasks/${own.id}`)).version).toBe(1);
  });

  test("next to a task that has left the column or was deleted: 409, which says so", async () => {
    const { tasks } = await board(3);
    const [a, b, c] = tasks as [string, string, string];
    await moved(b, { status: "in_progress" });
    const elsewhere = await move(c, { before: b });
    expectProblem(elsewhere, 409, "neighbour-moved");
    expect(elsewhere.body.detail).toBe(`Task ${b} is in_progress, and so is not in the column pending`);
    expectProblem(await move(c, { before: a, status: "in_progress" }), 409, "neighbour-moved");
    await people.owner.api.must("DELETE", `/tasks/${a}`);
    const gone = await move(c, { before: a });
    expectProblem(gone, 409, "neighbour-moved");
    expect(gone.body.detail).toBe(`Task ${a} was deleted`);
  });
});

describe("personal tasks", () => {
  const titles = async (who: Person): Promise<string[]> =>
    (await who.api.must("GET", "/tasks?project_id=none&sort=position")).items.map(({ title }: Wire) => title);

  test("have an order of their creator's own, in which an assignee moves those that they see", async () => {
    const ada = await node.api.person("ada");
    await people.owner.api.must("POST", `/projects/${project.id}/members`, {
      user_id: ada.id,
      role: "member",
    });
    const own = (title: string, fields: object = {}) => make({ title, project_id: null, ...fields }, ada);
    const one = await own("one");
    const two = await own("two", { assigned_to: people.member.id });
    const three = await own("three", { assigned_to: people.member.id });
    await moved(three.id, { before: two.id }, people.member);
    expect(await titles(ada)).toEqual(["one", "three", "two"]);
    expect((await eventsOf(`user:${people.member.id}`, three.id)).at(-1)?.type).toBe("task_moved");
    await moved(two.id, { before: one.id }, ada);
    expect(await titles(ada)).toEqual(["two", "one", "three"]);
    // The assignee may not know of the first one, nor mix in a task of their own.
    const mine = await make({ project_id: null }, people.member);
    for (const before of [one.id, mine.id])
      expectProblem(await move(two.id, { before }, people.member), 422, "validation-failed", ["#/before"]);
  });
});
