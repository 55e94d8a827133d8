import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectCommonHeaders, expectProblem, ID } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let owner: Person;
let member: Person;
let stranger: Person;
/** The owner's, with the member in it. */
let project: Wire;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  [owner, member, stranger] = (await Promise.all(
    ["owner", "member", "stranger"].map((name) => node.api.person(name)),
  )) as [Person, Person, Person];
  project = await place();
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

async function place(): Promise<Wire> {
  const made = await owner.api.must("POST", "/projects", { name: "Launch" });
  await owner.api.must("POST", `/projects/${made.id}/members`, { user_id: member.id, role: "member" });
  return made;
}
const make = (fields: object = {}): Promise<Wire> =>
  owner.api.must("POST", "/tasks", { title: "Write it", project_id: project.id, ...fields });
const bulk = (operations: unknown, who = owner): Promise<Answer> =>
  who.api.post("/tasks/bulk", { operations });
const read = (id: string): Promise<Wire> => owner.api.must("GET", `/tasks/${id}`);

/** What a project's log tells of some tasks. */
async function told(ids: string[], of = project): Promise<[type: string, changes: Wire][]> {
  const log = await readStream(db, `project:${of.id}`);
  expect(log.map(({ seq }) => seq)).toEqual(upTo(log.length));
  return log.filter(({ data }) => ids.includes(data.task?.id)).map(({ type, data }) => [type, data.changes]);
}
const eventCount = async (): Promise<number> =>
  (await db.query<{ n: number }>("SELECT count(*)::int AS n FROM events.log")).rows[0]?.n ?? 0;

/** What came of each operation: its status, or its problem's code, and where that points. */
function expectFailed(
  answer: Answer,
  results: [op: string, outcome: number | string, pointer?: string][],
): void {
  expectCommonHeaders(answer);
  const { status, type, instance, results: got } = answer.body;
  expect([answer.status, status, type, instance]).toEqual([422, 422, "/problems/bulk-failed", "/tasks/bulk"]);
  expect(
    got.map(({ op, status: code, problem }: Wire) => [
      op,
      problem === undefined ? code : problem.type.replace("/problems/", ""),
      ...(problem?.errors === undefined ? [] : [problem.errors[0].pointer]),
    ]),
  ).toEqual(results);
  for (const { status: code, problem, task } of got) {
    expect(task).toBeUndefined();
    if (problem !== undefined) expect([problem.status, typeof problem.detail]).toEqual([code, "string"]);
  }
}

describe("each operation", () => {
  test("does what the request of its own does, and answers it", async () => {
    const [one, two, three, four] = [await make(), await make(), await make(), await make()];
    const { status, body } = await bulk([
      { op: "create", title: " New ", priority: "high", project_id: project.id },
      { op: "update", id: one.id, title: "Mend it", due_date: "2030-01-31T14:00:00+02:00" },
      { op: "transition", id: two.id, to: "completed" },
      { op: "assign", id: three.id, assigned_to: member.id },
      { op: "delete", id: four.id },
    ]);
    expect(status).toBe(200);
    const [created, ...rest] = body.results;
    expect(created).toEqual({
      op: "create",
      status: 201,
      task: {
        ...one,
        id: expect.stringMatching(ID),
        title: "New",
        priority: "high",
        position: created.task.id.replaceAll("-", ""),
        created_at: created.task.created_at,
        updated_at: created.task.created_at,
      },
    });
    const { updated_at } = rest[0].task;
    expect(rest).toEqual([
      {
        op: "update",
        status: 200,
        task: { ...one, title: "Mend it", due_date: "2030-01-31T12:00:00.000Z", version: 2, updated_at },
      },
      {
        op: "transition",
        status: 200,
        task: { ...two, status: "completed", completed_at: updated_at, version: 2, updated_at },
      },
      { op: "assign", status: 200, task: { ...three, assigned_to: member.id, version: 2, updated_at } },
      { op: "delete", status: 204 },
    ]);
    for (const { task } of body.results.slice(0, 4)) expect(await read(task.id)).toMatchObject(task);
    expectProblem(await owner.api.get(`/tasks/${four.id}`), 404, "not-found");

    const ids = [created.task.id, one.id, two.id, three.id, four.id];
    expect((await told(ids)).slice(4)).toEqual([
      ["task_created", undefined],
      [
        "task_updated",
        {
          title: { old: "Write it", new: "Mend it" },
          due_date: { old: null, new: "2030-01-31T12:00:00.000Z" },
        },
      ],
      [
        "task_completed",
        { status: { old: "pending", new: "completed" }, completed_at: { old: null, new: updated_at } },
      ],
      ["task_assigned", { assigned_to: { old: null, new: member.id } }],
      ["task_deleted", undefined],
    ]);
  });

  test("is judged on what those before it left, and leaves a version and an event of its own", async () => {
    const { id } = await make();
    const { body } = await bulk([
      { op: "transition", id, to: "in_progress" },
      { op: "update", id, title: "One", status: "completed", assigned_to: member.id },
      { op: "update", id, title: "One" },
      { op: "transition", id: id.toUpperCase(), to: "archived" },
    ]);
    expect(body.results.map(({ task }: Wire): unknown => [task.id, task.version, task.status])).toEqual([
      [id, 2, "in_progress"],
      [id, 3, "completed"],
      [id, 3, "completed"],
      [id, 4, "archived"],
    ]);
    expect(await read(id)).toMatchObject({ title: "One", status: "archived", version: 4 });
    expect((await told([id])).map(([type]) => type)).toEqual([
      "task_created",
      "task_updated",
      "task_completed",
      "task_assigned",
      "task_updated",
      "task_updated",
    ]);
  });

  test("that changes nothing leaves no version and no event", async () => {
    const task = await make();
    const before = await eventCount();
    const { status, body } = await bulk([
      { op: "update", id: task.id },
      { op: "update", id: task.id, title: "Write it", status: "pending" },
      { op: "assign", id: task.id, assigned_to: null },
    ]);
    expect(status).toBe(200);
    expect(body.results.map(({ task }: Wire): unknown => task)).toEqual([task, task, task]);
    expect(await eventCount()).toBe(before);
  });

  test("on personal tasks is told to who has them, wherever the rest lies", async () => {
    const [ada, ben] = [await node.api.person("ada"), await node.api.person("ben")];
    const shared = await ada.api.must("POST", "/projects", { name: "Shared" });
    await ada.api.must("POST", `/projects/${shared.id}/members`, { user_id: ben.id, role: "viewer" });
    const { body } = await bulk(
      [
        { op: "create", title: "for Ben", assigned_to: ben.id },
        { op: "create", title: "for nobody" },
      ],
      ada,
    );
    const [first, second] = body.results.map(({ task }: Wire): unknown => task);
    const log = async (who: Person): Promise<unknown> =>
      (await readStream(db, `user:${who.id}`)).slice(1).map(({ seq, type, data }) => [seq, type, data.task]);
    expect(await log(ada)).toEqual([
      [2, "task_created", first],
      [3, "task_created", second],
    ]);
    expect(await log(ben)).toEqual([[2, "task_created", first]]);
  });

  test("a hundred are as good as one", async () => {
    const there = await place();
    const made = await bulk(upTo(100).map((n) => ({ op: "create", title: `${n}`, project_id: there.id })));
    expect(made.status).toBe(200);
    const ids = made.body.results.map(({ task }: Wire): string => task.id);
    expect(new Set(ids).size).toBe(100);
    const done = await bulk(ids.map((id: string) => ({ op: "transition", id, to: "completed" })));
    expect(done.body.results.every(({ task }: Wire) => task.version === 2)).toBe(true);
    const { task_counts } = await owner.api.must("GET", `/projects/${there.id}`);
    expect(task_counts).toMatchObject({ pending: 0, completed: 100 });
    // In the order in which they were given.
    const log = await readStream(db, `project:${there.id}`);
    expect(log.slice(2, 102).map(({ data }): string => data.task.title)).toEqual(upTo(100).map(String));
    expect(log).toHaveLength(202);
  });
});

describe("what is no list of operations is 422, and nothing of it is done", () => {
  const good = { op: "create", title: "x" };
  test.each<[what: string, operations: unknown, pointers: string[]]>([
    ["nothing", undefined, ["#/operations"]],
    ["null", null, ["#/operations"]],
    ["an object", good, ["#/operations"]],
    ["no operation", [], ["#/operations"]],
    ["101 operations", upTo(101).map(() => good), ["#/operations"]],
    [
      "something else in their midst",
      [good, 7, null, "create", []],
      [1, 2, 3, 4].map((n) => `#/operations/${n}`),
    ],
    ["an unknown op", [good, { op: "purge", id: newId() }], ["#/operations/1"]],
    [
      "an op of a prototype",
      [{ op: "constructor" }, { op: "__proto__" }],
      ["#/operations/0", "#/operations/1"],
    ],
    ["no op", [{ title: "x" }], ["#/operations/0"]],
    ["an empty title", [good, good, good, { op: "create", title: "" }], ["#/operations/3/title"]],
    ["no title", [good, { op: "create" }], ["#/operations/1/title"]],
    ["no id", [{ op: "delete" }], ["#/operations/0/id"]],
    ["an id that is none", [{ op: "update", id: "x", title: "y" }], ["#/operations/0/id"]],
    ["an unknown field", [good, { ...good, version: 1 }], ["#/operations/1/version"]],
    ["a field of another op", [{ op: "delete", id: newId(), to: "completed" }], ["#/operations/0/to"]],
    ["an unknown status", [{ op: "transition", id: newId(), to: "done" }], ["#/operations/0/to"]],
    ["no assignee", [{ op: "assign", id: newId() }], ["#/operations/0/assigned_to"]],
    [
      "another's assignee",
      [{ op: "assign", id: newId(), assigned_to: "me" }],
      ["#/operations/0/assigned_to"],
    ],
    ["a slug for a project", [{ ...good, project_id: "launch" }], ["#/operations/0/project_id"]],
    [
      "all sorts",
      [{ op: "create", title: "", priority: "huge" }, good, { op: "delete", id: 1 }],
      ["#/operations/0/title", "#/operations/0/priority", "#/operations/2/id"],
    ],
  ])("%s", async (_, operations, pointers) => {
    const before = await eventCount();
    expectProblem(await bulk(operations), 422, "validation-failed", pointers);
    expect(await eventCount()).toBe(before);
  });

  test("an unknown field beside them", async () => {
    const answer = await owner.api.post("/tasks/bulk", { operations: [good], atomic: false });
    expectProblem(answer, 422, "validation-failed", ["#/atomic"]);
  });
});

describe("where one operation can't be done", () => {
  test("none is: no row, no version, no event; and each is told why", async () => {
    const [one, two] = [await make(), await make({ status: "completed" })];
    const { total } = await owner.api.must("GET", "/tasks?limit=1");
    const before = await eventCount();
    const answer = await bulk([
      { op: "create", title: "x", project_id: project.id },
      { op: "update", id: one.id, title: "y" },
      { op: "transition", id: two.id, to: "pending" },
      { op: "assign", id: one.id, assigned_to: stranger.id },
      { op: "delete", id: newId() },
      { op: "update", id: one.id, category_id: newId() },
      { op: "create", title: "x", project_id: newId() },
      { op: "create", title: "x", status: "archived" },
      { op: "delete", id: one.id },
    ]);
    expectFailed(answer, [
      ["create", 424],
      ["update", 424],
      ["transition", "illegal-transition"],
      ["assign", "validation-failed", "#/assigned_to"],
      ["delete", "not-found"],
      ["update", "validation-failed", "#/category_id"],
      ["create", "not-found"],
      ["create", "illegal-transition"],
      ["delete", 424],
    ]);
    expect((await owner.api.must("GET", "/tasks?limit=1")).total).toBe(total);
    expect(await read(one.id)).toMatchObject(one);
    expect(await read(two.id)).toMatchObject(two);
    expect(await eventCount()).toBe(before);
  });

  test("what an operation before it deleted is not there any more", async () => {
    const { id } = await make();
    expectFailed(
      await bulk([
        { op: "delete", id },
        { op: "update", id, title: "y" },
        { op: "delete", id },
      ]),
      [
        ["delete", 424],
        ["update", "not-found"],
        ["delete", "not-found"],
      ],
    );
    expect((await read(id)).version).toBe(1);
  });

  test("what an operation before it completed can't be completed again", async () => {
    const { id } = await make();
    const to = "completed";
    expectFailed(
      await bulk([
        { op: "transition", id, to },
        { op: "transition", id, to },
      ]),
      [
        ["transition", 424],
        ["transition", "illegal-transition"],
      ],
    );
  });

  test("an archived project takes none", async () => {
    const old = await place();
    const task = await make({ project_id: old.id });
    await owner.api.must("PATCH", `/projects/${old.id}`, { status: "archived" });
    expectFailed(
      await bulk([
        { op: "create", title: "x", project_id: old.id },
        { op: "update", id: task.id, title: "y" },
        { op: "delete", id: task.id },
        { op: "create", title: "x" },
      ]),
      [
        ["create", "project-archived"],
        ["update", "project-archived"],
        ["delete", "project-archived"],
        ["create", 424],
      ],
    );
  });
});

describe("nobody does by it what they could not do otherwise", () => {
  const tryAll = (id: string, who: Person): Promise<Answer> =>
    bulk(
      [
        { op: "update", id, title: "y" },
        { op: "transition", id, to: "in_progress" },
        { op: "assign", id, assigned_to: who.id },
        { op: "delete", id },
        { op: "create", title: "x", project_id: project.id },
        { op: "create", title: "x", project_id: project.id, assigned_to: who.id },
        { op: "create", title: "mine" },
      ],
      who,
    );

  test("strangers find nothing", async () => {
    const task = await make();
    expectFailed(await tryAll(task.id, stranger), [
      ["update", "not-found"],
      ["transition", "not-found"],
      ["assign", "not-found"],
      ["delete", "not-found"],
      ["create", "not-found"],
      ["create", "not-found"],
      ["create", 424],
    ]);
    const personal = await make({ project_id: null });
    expectFailed(await bulk([{ op: "delete", id: personal.id }], member), [["delete", "not-found"]]);
    expect((await stranger.api.must("GET", "/tasks")).total).toBe(0);
    expect(await read(task.id)).toMatchObject(task);
  });

  test("nobody fills a stranger's list: 422 for each, and nothing is theirs", async () => {
    const own = await stranger.api.must("POST", "/tasks", { title: "mine" });
    const fields = { title: "x", assigned_to: owner.id };
    const answer = await bulk(
      [
        ...upTo(97).map(() => ({ op: "create", ...fields })),
        { op: "update", id: own.id, ...fields },
        { op: "assign", id: own.id, assigned_to: owner.id },
        { op: "create", ...fields, assigned_to: stranger.id },
      ],
      stranger,
    );
    expectFailed(answer, [
      ...upTo(97).map((): [string, string, string] => ["create", "validation-failed", "#/assigned_to"]),
      ["update", "validation-failed", "#/assigned_to"],
      ["assign", "validation-failed", "#/assigned_to"],
      ["create", 424],
    ]);
    const theirs = await owner.api.must("GET", `/tasks?created_by=${stranger.id}`);
    expect(theirs.total).toBe(0);
  });

  test("members neither assign nor delete", async () => {
    const task = await make();
    expectFailed(await tryAll(task.id, member), [
      ["update", 424],
      ["transition", 424],
      ["assign", "forbidden"],
      ["delete", "forbidden"],
      ["create", 424],
      ["create", "forbidden"],
      ["create", 424],
    ]);
    expect(await read(task.id)).toMatchObject(task);
  });

  test("another's category is none of one's own", async () => {
    const { id } = await owner.api.must("POST", "/categories", { name: "x", color: "#000000" });
    const answer = await bulk([{ op: "create", title: "x", category_id: id }], member);
    expectFailed(answer, [["create", "validation-failed", "#/category_id"]]);
    expect((await bulk([{ op: "create", title: "x", category_id: id }])).status).toBe(200);
  });
});

describe("many at once over the same tasks", () => {
  const shuffled = <Item>(items: Item[], n: number): Item[] =>
    items.toSorted((a, b) => JSON.stringify([a, n]).localeCompare(JSON.stringify([b, n])));
  const rotated = <Item>(items: Item[], n: number): Item[] => [
    ...items.slice(n),
    ...(n % 2 === 0 ? items.slice(0, n) : items.slice(0, n).reverse()),
  ];

  test("ten bulk requests in different orders are all done, and none undoes another", async () => {
    const [here, there] = [await place(), await place()];
    const tasks: Wire[] = [];
    for (const n of upTo(10)) tasks.push(await make({ project_id: (n % 2 === 0 ? here : there).id }));
    const answers = await Promise.all(
      upTo(10).map((n) =>
        bulk(
          rotated(
            shuffled(
              tasks.map(({ id }): string => id),
              n,
            ),
            n % 10,
          ).map((id) => ({ op: "update", id, title: `${n}` })),
          n % 3 === 0 ? member : owner,
        ),
      ),
    );
    expect(tally(answers)).toEqual({ 200: 10 });
    const titles = new Set<string>();
    for (const { id } of tasks) {
      const { version, title } = await read(id);
      expect(version).toBe(11);
      titles.add(title);
    }
    // One of them came last, everywhere.
    expect(titles.size).toBe(1);
    const ids = tasks.map(({ id }): string => id);
    for (const one of [here, there]) expect(await told(ids, one)).toHaveLength(5 + 50);
  });

  test("and single writes in between are done too", async () => {
    const there = await place();
    const tasks: Wire[] = [];
    for (const _ of upTo(4)) tasks.push(await make({ project_id: there.id }));
    const ids = tasks.map(({ id }): string => id);
    const answers = await Promise.all(
      upTo(6).flatMap((n) => [
        bulk(rotated(ids, n % 4).map((id) => ({ op: "update", id, title: `${n}` }))),
        owner.api.patch(`/tasks/${ids[n % 4]}`, { description: `${n}` }),
        owner.api.post(`/tasks/${ids[n % 4]}/comments`, { body: "x" }),
      ]),
    );
    expect(tally(answers)).toEqual({ 200: 12, 201: 6 });
    const versions = [];
    for (const id of ids) versions.push((await read(id)).version);
    expect(versions.reduce((a, b) => a + b)).toBe(4 + 6 * 4 + 6);
  });
});
