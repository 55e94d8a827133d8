import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { type Actor, ACTORS, type Cast, makeCast, makeProject } from "../support/cast.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem, ID, TIMESTAMP } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let people: Cast;
let project: Wire;
/** The owner's, in the project. */
let task: Wire;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  people = await makeCast(node, db);
  project = await makeProject(people);
  task = await make({ project_id: project.id });
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

const make = (fields: object = {}): Promise<Wire> =>
  people.owner.api.must("POST", "/tasks", { title: "Write it", ...fields });
const say = (body: unknown, who: Person, on = task): Promise<Answer> =>
  who.api.post(`/tasks/${on.id}/comments`, { body });
const said = async (who: Person, on = task): Promise<Wire> => (await say("x", who, on)).body;
const pathOf = ({ id, task_id }: Wire): string => `/tasks/${task_id}/comments/${id}`;
const edit = (comment: Wire, body: unknown, who: Person): Promise<Answer> =>
  who.api.patch(pathOf(comment), { body });
const remove = (comment: Wire, who: Person): Promise<Answer> => who.api.delete(pathOf(comment));

/** What a stream tells of one comment. */
const told = async (stream: string, { id }: Wire): Promise<[type: string, data: Wire][]> =>
  (await readStream(db, stream))
    .filter(({ data }) => data.comment?.id === id)
    .map(({ type, data }) => [type, data]);
const statuses = async (ask: (who: Person) => Promise<Answer>, ...actors: Actor[]): Promise<object> => {
  const got: Record<string, number> = {};
  for (const name of actors) got[name] = (await ask(people[name])).status;
  return got;
};

/** Archives the project for the time of `work`. */
async function archived(work: () => Promise<void>): Promise<void> {
  await people.owner.api.must("PATCH", `/projects/${project.id}`, { status: "archived" });
  await work().finally(() => people.owner.api.must("PATCH", `/projects/${project.id}`, { status: "active" }));
}

describe("POST /tasks/{id}/comments", () => {
  test("answers 201, where it is, and the comment, trimmed", async () => {
    const { status, headers, body } = await say("  Well\ndone \n", people.member);
    expect(status).toBe(201);
    expect(headers.get("location")).toBe(`/tasks/${task.id}/comments/${body.id}`);
    expect(body).toEqual({
      id: expect.stringMatching(ID),
      task_id: task.id,
      author_id: people.member.id,
      body: "Well\ndone",
      version: 1,
      created_at: expect.stringMatching(TIMESTAMP),
      updated_at: body.created_at,
    });
  });

  test("is for members of the project, and for admins", async () => {
    const got = await statuses((who) => say("x", who), ...ACTORS);
    expect(got).toEqual({
      owner: 201,
      manager: 201,
      member: 201,
      viewer: 403,
      stranger: 404,
      boss: 403,
      admin: 201,
    });
    expectProblem(await say("x", people.viewer), 403, "forbidden");
    expectProblem(await say("x", people.stranger), 404, "not-found");
  });

  test("on a personal task it is for its creator and its assignee", async () => {
    const personal = await make({ assigned_to: people.viewer.id });
    const got = await statuses(
      (who) => say("x", who, personal),
      "owner",
      "viewer",
      "member",
      "boss",
      "admin",
    );
    expect(got).toEqual({ owner: 201, viewer: 201, member: 404, boss: 403, admin: 201 });
  });

  test("is told to the project, and leaves the task's version alone", async () => {
    const before = await people.owner.api.must("GET", `/tasks/${task.id}`);
    const comment = await said(people.member);
    expect(await told(`project:${project.id}`, comment)).toEqual([["comment_created", { comment }]]);
    for (const who of [people.owner, people.member])
      expect(await told(`user:${who.id}`, comment)).toEqual([]);
    expect(await people.owner.api.must("GET", `/tasks/${task.id}`)).toEqual({
      ...before,
      comment_count: before.comment_count + 1,
    });
  });

  test("on a personal task it is told to its creator and its assignee, on streams of their own", async () => {
    const { owner, viewer, member } = people;
    const next = await node.api.person("next");
    const shared = await owner.api.must("POST", "/projects", { name: "Shared" });
    await owner.api.must("POST", `/projects/${shared.id}/members`, { user_id: next.id, role: "viewer" });
    const personal = await make({ assigned_to: viewer.id });
    const comment = await said(viewer, personal);
    for (const who of [owner, viewer])
      expect(await told(`user:${who.id}`, comment)).toEqual([["comment_created", { comment }]]);
    // Whoever has the task next hears what comes next.
    await owner.api.must("POST", `/tasks/${personal.id}/assign`, { assigned_to: next.id });
    const last = await said(owner, personal);
    expect(await told(`user:${viewer.id}`, last)).toEqual([]);
    expect(await told(`user:${next.id}`, last)).toHaveLength(1);
    expect(await told(`user:${member.id}`, last)).toEqual([]);
  });

  test.each([
    ["missing", undefined],
    ["null", null],
    ["empty", ""],
    ["blank", " \n\t "],
    ["a number", 7],
    ["of 10,001 characters", "x".repeat(10_001)],
    ["with U+0000", "a\0b"],
  ])("a body that is %s is 422", async (_, body) => {
    expectProblem(await say(body, people.member), 422, "validation-failed", ["#/body"]);
  });

  test("10,000 characters are taken, however many code units they have", async () => {
    expect((await say("🐘".repeat(10_000), people.member)).status).toBe(201);
  });

  test.each(["id", "task_id", "author_id", "created_at"])("%s can't be set: 422", async (field) => {
    const answer = await people.member.api.post(`/tasks/${task.id}/comments`, {
      body: "x",
      [field]: newId(),
    });
    // The path gave `id` already.
    expectProblem(answer, 422, "validation-failed", [`#/${field}`]);
  });

  test("on a task that is deleted or isn't there it is 404, in an archived project 409", async () => {
    const gone = await make({ project_id: project.id });
    await people.owner.api.must("DELETE", `/tasks/${gone.id}`);
    for (const on of [gone, { id: newId() }, { id: "x" }])
      expectProblem(await say("x", people.owner, on), 404, "not-found");
    await archived(async () => expectProblem(await say("x", people.owner), 409, "project-archived"));
  });

  test("twenty at once, while the task is being edited, are all there", async () => {
    const busy = await make({ project_id: project.id });
    const answers = await Promise.all(
      upTo(20).flatMap((n) => [
        say(`${n}`, people.member, busy),
        people.owner.api.patch(`/tasks/${busy.id}`, { title: `${n}` }),
      ]),
    );
    expect(tally(answers)).toEqual({ 200: 20, 201: 20 });
    const { comment_count, version } = await people.owner.api.must("GET", `/tasks/${busy.id}`);
    expect([comment_count, version]).toEqual([20, 21]);
  });
});

describe("GET /tasks/{id}/comments", () => {
  let discussed: Wire;
  beforeAll(async () => {
    discussed = await make({ project_id: project.id });
    for (const body of ["one", "two", "three"]) {
      const comment = (await say(body, people.member, discussed)).body;
      if (body === "one") await edit(comment, "one, edited", people.member);
    }
  });
  const list = (query = "", who = people.viewer): Promise<Answer> =>
    who.api.get(`/tasks/${discussed.id}/comments${query}`);
  const bodies = async (query = ""): Promise<string[]> =>
    (await list(query)).body.items.map(({ body }: Wire): string => body);

  test("lists them oldest first, to all who see the task", async () => {
    const { status, body } = await list();
    expect(status).toBe(200);
    expect(body).toMatchObject({ limit: 20, offset: 0, total: 3, next_cursor: null });
    expect(await bodies()).toEqual(["one, edited", "two", "three"]);
    const got = await statuses((who) => list("", who), ...ACTORS);
    expect(got).toEqual({
      owner: 200,
      manager: 200,
      member: 200,
      viewer: 200,
      stranger: 404,
      boss: 200,
      admin: 200,
    });
  });

  test("in the order that is asked for, in pages", async () => {
    expect(await bodies("?sort=-created_at")).toEqual(["three", "two", "one, edited"]);
    expect(await bodies("?limit=1&offset=1")).toEqual(["two"]);
    expect((await list("?offset=3")).body).toMatchObject({ items: [], total: 3 });
  });

  test.each(["sort=body", "sort=author_id", "limit=101", "author_id=x", "q=one"])(
    "?%s is 422",
    async (query) => {
      expectProblem(await list(`?${query}`), 422, "validation-failed", [`?${query.split("=")[0]}`]);
    },
  );

  test("of a deleted task there are none: 404, until it is restored", async () => {
    await people.owner.api.must("DELETE", `/tasks/${discussed.id}`);
    expectProblem(await list(), 404, "not-found");
    await people.owner.api.must("POST", `/tasks/${discussed.id}/restore`);
    expect((await list()).body.total).toBe(3);
  });
});

describe("PATCH /tasks/{id}/comments/{comment_id}", () => {
  test("its author edits it, and the event tells old and new", async () => {
    const comment = await said(people.member);
    const { status, body } = await edit(comment, " y ", people.member);
    expect([status, body]).toEqual([
      200,
      { ...comment, body: "y", version: 2, updated_at: expect.stringMatching(TIMESTAMP) },
    ]);
    expect((await told(`project:${project.id}`, comment)).slice(1)).toEqual([
      ["comment_updated", { comment: body, changes: { body: { old: "x", new: "y" } } }],
    ]);
  });

  test("the same body changes nothing: no version, no event", async () => {
    const comment = await said(people.member);
    expect((await edit(comment, "x ", people.member)).body).toEqual(comment);
    expect(await told(`project:${project.id}`, comment)).toHaveLength(1);
  });

  test("nobody else does, admins neither", async () => {
    const comment = await said(people.member);
    const got = await statuses((who) => edit(comment, "y", who), ...ACTORS);
    expect(got).toEqual({
      owner: 403,
      manager: 403,
      member: 200,
      viewer: 403,
      stranger: 404,
      boss: 403,
      admin: 403,
    });
    expectProblem(await edit(comment, "y", people.owner), 403, "forbidden");
    expectProblem(await edit(comment, "y", people.stranger), 404, "not-found");
  });

  test("who may not comment any more edits and deletes no more: 403, out of the project 404", async () => {
    const late = await node.api.person("late");
    const members = `/projects/${project.id}/members`;
    await people.owner.api.must("POST", members, { user_id: late.id, role: "member" });
    const comment = await said(late);
    await people.owner.api.must("PATCH", `${members}/${late.id}`, { role: "viewer" });
    expectProblem(await edit(comment, "y", late), 403, "forbidden");
    expectProblem(await remove(comment, late), 403, "forbidden");
    await people.owner.api.must("DELETE", `${members}/${late.id}`);
    expectProblem(await edit(comment, "y", late), 404, "not-found");
  });

  test.each([
    ["empty", ""],
    ["null", null],
    ["missing", undefined],
  ])("a body that is %s is 422", async (_, body) => {
    expectProblem(await edit(await said(people.member), body, people.member), 422, "validation-failed", [
      "#/body",
    ]);
  });

  test("under another task, or where none is, it is 404; in an archived project 409", async () => {
    const comment = await said(people.member);
    const other = await make({ project_id: project.id });
    for (const one of [
      { ...comment, task_id: other.id },
      { ...comment, task_id: newId() },
      { ...comment, id: newId() },
      { ...comment, id: "x" },
    ]) {
      expectProblem(await edit(one, "y", people.member), 404, "not-found");
      expectProblem(await remove(one, people.member), 404, "not-found");
    }
    await archived(async () => {
      expectProblem(await edit(comment, "y", people.member), 409, "project-archived");
      expectProblem(await remove(comment, people.member), 409, "project-archived");
    });
    expect((await edit(comment, "y", people.member)).body.version).toBe(2);
  });
});

describe("DELETE /tasks/{id}/comments/{comment_id}", () => {
  test("204, with an event that holds what it was; a second one is 404", async () => {
    const comment = await said(people.member);
    const { comment_count } = await people.owner.api.must("GET", `/tasks/${task.id}`);
    expect((await remove(comment, people.member)).status).toBe(204);
    expectProblem(await remove(comment, people.member), 404, "not-found");
    expect((await told(`project:${project.id}`, comment)).slice(1)).toEqual([
      ["comment_deleted", { comment }],
    ]);
    expect((await people.owner.api.must("GET", `/tasks/${task.id}`)).comment_count).toBe(comment_count - 1);
  });

  test("is for its author, the managers of the project and admins", async () => {
    const got: Record<string, number> = {};
    for (const name of ACTORS) got[name] = (await remove(await said(people.manager), people[name])).status;
    expect(got).toEqual({
      owner: 204,
      manager: 204,
      member: 403,
      viewer: 403,
      stranger: 404,
      boss: 403,
      admin: 204,
    });
    expect((await remove(await said(people.member), people.member)).status).toBe(204);
  });

  test("on a personal task it is for its author", async () => {
    const personal = await make({ assigned_to: people.viewer.id });
    const comment = await said(people.viewer, personal);
    expectProblem(await remove(comment, people.owner), 403, "forbidden");
    expect((await remove(comment, people.viewer)).status).toBe(204);
    expect((await told(`user:${people.owner.id}`, comment)).map(([type]) => type)).toEqual([
      "comment_created",
      "comment_deleted",
    ]);
  });

  test("of ten at once one does it, with one event", async () => {
    const comment = await said(people.member);
    const answers = await Promise.all(upTo(10).map(() => remove(comment, people.member)));
    expect(tally(answers)).toEqual({ 204: 1, 404: 9 });
    expect(await told(`project:${project.id}`, comment)).toHaveLength(2);
  });
});
