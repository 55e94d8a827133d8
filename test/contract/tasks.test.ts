import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { type Cast, makeCast, makeProject } from "../support/cast.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem, ID, TIMESTAMP } from "../support/expectations.ts";

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

/** A personal task of the owner's, or with `project_id` one of the project. */
const make = (fields: object = {}): Promise<Wire> =>
  people.owner.api.must("POST", "/tasks", { title: "Write it", ...fields });
const inProject = (fields: object = {}): Promise<Wire> => make({ project_id: project.id, ...fields });
const create = (fields: object): Promise<Answer> =>
  people.owner.api.post("/tasks", { title: "x", ...fields });
const patch = (id: string, fields: object): Promise<Answer> => people.owner.api.patch(`/tasks/${id}`, fields);
const read = async (id: string): Promise<Wire> => people.owner.api.must("GET", `/tasks/${id}`);
const assign = (id: string, assigned_to: unknown, who = people.owner): Promise<Answer> =>
  who.api.post(`/tasks/${id}/assign`, { assigned_to });
const move = (id: string, to: unknown, who = people.owner): Promise<Answer> =>
  who.api.post(`/tasks/${id}/transitions`, { to });

const defaults = () => ({
  id: expect.stringMatching(ID),
  title: "Write it",
  description: null,
  status: "pending",
  priority: "medium",
  project_id: null,
  category_id: null,
  created_by: people.owner.id,
  assigned_to: null,
  due_date: null,
  completed_at: null,
  position: expect.stringMatching(/^[0-9a-f]{32}$/),
  version: 1,
  created_at: expect.stringMatching(TIMESTAMP),
  updated_at: expect.stringMatching(TIMESTAMP),
});

describe("creating a task", () => {
  test("POST /tasks makes a personal one: 201, Location, defaults", async () => {
    const { status, headers, body } = await people.owner.api.post("/tasks", { title: "Write it" });
    expect(status).toBe(201);
    expect(headers.get("location")).toBe(`/tasks/${body.id}`);
    expect(body).toEqual(defaults());
    expect(body.updated_at).toBe(body.created_at);
    expect(await read(body.id)).toMatchObject(body);
  });

  test("POST /tasks with project_id and POST /projects/{project}/tasks make one in the project", async () => {
    const { id, slug } = project;
    for (const [path, more] of [
      ["/tasks", { project_id: id }],
      ["/tasks", { project_id: id.toUpperCase() }],
      [`/projects/${id}/tasks`, {}],
      [`/projects/${slug}/tasks`, {}],
    ] as const) {
      const { status, headers, body } = await people.owner.api.post(path, {
        title: "Write it",
        ...more,
      });
      expect(status).toBe(201);
      expect(headers.get("location")).toBe(`/tasks/${body.id}`);
      expect(body).toEqual({ ...defaults(), project_id: id });
    }
  });

  test("all that a client may set is kept", async () => {
    const fields = {
      title: "Write it",
      description: "At length",
      status: "in_progress",
      priority: "urgent",
      assigned_to: people.member.id,
      due_date: "2030-01-31T12:00:00.000Z",
    };
    expect(await inProject(fields)).toEqual({ ...defaults(), project_id: project.id, ...fields });
  });

  test.each([
    ["of 1 character", "x"],
    ["of 200 characters", "x".repeat(200)],
    ["of 200 characters that take 400 code units", "🐘".repeat(200)],
  ])("a title %s is taken", async (_, title) => {
    expect((await create({ title })).body.title).toBe(title);
  });

  test("a title is trimmed before it is measured", async () => {
    expect((await create({ title: `  ${"x".repeat(200)}\n` })).body.title).toBe("x".repeat(200));
  });

  test("a description has up to 10,000 characters, and spaces of its own", async () => {
    const description = ` ${"x".repeat(9998)}\n`;
    expect((await create({ description })).body.description).toBe(description);
    expect((await create({ description: "" })).body.description).toBe("");
  });

  test.each<[field: string, what: string, value: unknown]>([
    ["title", "missing", undefined],
    ["title", "null", null],
    ["title", "empty", ""],
    ["title", "blank", " \u00a0\t\n"],
    ["title", "of 201 characters", "x".repeat(201)],
    ["title", "a number", 1],
    ["description", "of 10,001 characters", "x".repeat(10_001)],
    ["description", "a number", 1],
    ["status", "unknown", "done"],
    ["status", "null", null],
    ["priority", "unknown", "huge"],
    ["priority", "a number", 1],
    ["priority", "null", null],
    ["project_id", "a slug", "launch"],
    ["assigned_to", "a name", "ada"],
    ["due_date", "without a time", "2030-01-31"],
    ["due_date", "without an offset", "2030-01-31T12:00:00"],
    ["due_date", "a number", 1_900_000_000],
    ["due_date", "in words", "tomorrow"],
    ["due_date", "of 30 February", "2030-02-30T00:00:00Z"],
    ["due_date", "of 29 February in a common year", "2030-02-29T00:00:00Z"],
    ["due_date", "in a 13th month", "2030-13-01T00:00:00Z"],
    ["due_date", "at 25 o'clock", "2030-01-31T25:00:00Z"],
    ["due_date", "in the year 0", "0000-01-01T00:00:00Z"],
    ["due_date", "that is in the year 0 in UTC", "0001-01-01T00:00:00+05:00"],
    ["due_date", "that is in the year 10000 in UTC", "9999-12-31T23:59:59-01:00"],
  ])("%s %s is 422", async (field, _, value) => {
    expectProblem(await create({ [field]: value }), 422, "validation-failed", [`#/${field}`]);
  });

  test.each([
    ["2030-01-31T12:00:00Z", "2030-01-31T12:00:00.000Z"],
    ["2030-01-31T12:00:00+02:00", "2030-01-31T10:00:00.000Z"],
    ["2029-12-31T20:00:00.5-05:30", "2030-01-01T01:30:00.500Z"],
    ["2032-02-29T23:59:59.999Z", "2032-02-29T23:59:59.999Z"],
    ["1969-12-31T23:59:59Z", "1969-12-31T23:59:59.000Z"],
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000Z"],
  ])("due_date %s is %s", async (due_date, utc) => {
    const { body } = await create({ due_date });
    expect(body.due_date).toBe(utc);
    expect((await read(body.id)).due_date).toBe(utc);
  });

  test("it may begin in any status that pending leads to, and in no other", async () => {
    for (const status of ["pending", "in_progress", "cancelled"])
      expect((await create({ status })).body).toMatchObject({ status, completed_at: null });
    const completed = (await create({ status: "completed" })).body;
    expect(completed.completed_at).toBe(completed.created_at);
    expectProblem(await create({ status: "archived" }), 409, "illegal-transition");
  });

  test("a project that isn't there and one that is another's are the same 404", async () => {
    for (const project_id of [project.id, newId()])
      expectProblem(await people.stranger.api.post("/tasks", { title: "x", project_id }), 404, "not-found");
  });

  test("an archived project takes none: 409", async () => {
    const { id } = await people.owner.api.must("POST", "/projects", { name: "Old" });
    const task = await make({ project_id: id });
    await people.owner.api.must("PATCH", `/projects/${id}`, { status: "archived" });
    expectProblem(await create({ project_id: id }), 409, "project-archived");
    expectProblem(await patch(task.id, { title: "y" }), 409, "project-archived");
    expectProblem(await move(task.id, "completed"), 409, "project-archived");
    expectProblem(await assign(task.id, null), 409, "project-archived");
    expectProblem(await people.owner.api.delete(`/tasks/${task.id}`), 409, "project-archived");
    expect((await read(task.id)).version).toBe(1);
  });
});

describe("listing tasks", () => {
  let ada: Person;
  let ben: Person;
  let shared: Wire;
  let hidden: Wire;

  /** Titles of what `who` gets, and the answer. */
  const list = async (query = "", who = ada, path = "/tasks"): Promise<[titles: string[], body: Wire]> => {
    const body = await who.api.must("GET", `${path}${query}`);
    return [body.items.map(({ title }: Wire): string => title), body];
  };

  beforeAll(async () => {
    [ada, ben] = (await Promise.all(["ada", "ben"].map((name) => node.api.person(name)))) as [Person, Person];
    shared = await ben.api.must("POST", "/projects", { name: "Shared" });
    hidden = await ben.api.must("POST", "/projects", { name: "Hidden" });
    await ben.api.must("POST", `/projects/${shared.id}/members`, { user_id: ada.id, role: "viewer" });
    const tasks: [who: Person, fields: object][] = [
      [ada, { title: "ada's own" }],
      [ada, { title: "ada's, done", status: "completed" }],
      [ben, { title: "ben's own" }],
      [ben, { title: "ben's, for ada", assigned_to: ada.id }],
      [ben, { title: "shared", project_id: shared.id }],
      [ben, { title: "shared, in progress", project_id: shared.id, status: "in_progress" }],
      [ben, { title: "hidden", project_id: hidden.id }],
    ];
    for (const [who, body] of tasks) await who.api.must("POST", "/tasks", body);
    const gone = await ada.api.must("POST", "/tasks", { title: "deleted" });
    await ada.api.must("DELETE", `/tasks/${gone.id}`);
  });

  test("gives the caller's own, those assigned to them and those of their projects, newest first", async () => {
    const [titles, body] = await list();
    expect(titles).toEqual(["shared, in progress", "shared", "ben's, for ada", "ada's, done", "ada's own"]);
    expect(body).toMatchObject({ limit: 20, offset: 0, total: 5 });
    expect((await list("", ben))[0]).toEqual([
      "hidden",
      "shared, in progress",
      "shared",
      "ben's, for ada",
      "ben's own",
    ]);
  });

  test("gives tasks as they are created", async () => {
    const [, { items }] = await list();
    for (const item of items) expect((await ada.api.get(`/tasks/${item.id}`)).body).toMatchObject(item);
    expect(items[4]).toEqual({ ...defaults(), title: "ada's own", created_by: ada.id });
  });

  test("by status, one or several", async () => {
    expect((await list("?status=completed"))[0]).toEqual(["ada's, done"]);
    expect((await list("?status=in_progress,completed"))[0]).toEqual(["shared, in progress", "ada's, done"]);
    expect((await list("?status=completed,completed"))[1].total).toBe(1);
    expect((await list("?status=archived"))[1]).toMatchObject({ items: [], total: 0 });
  });

  test.each(["done", "", "pending,", "pending,done", "PENDING", "pending completed"])(
    "?status=%s is 422",
    async (status) => {
      const answer = await ada.api.get(`/tasks?status=${encodeURIComponent(status)}`);
      expectProblem(answer, 422, "validation-failed", ["?status"]);
    },
  );

  test("by project", async () => {
    expect((await list(`?project_id=${shared.id}`))[0]).toEqual(["shared, in progress", "shared"]);
    expect((await list(`?project_id=${shared.id}&status=pending`))[0]).toEqual(["shared"]);
    expect((await list(`?project_id=${hidden.id}`))[1]).toMatchObject({ items: [], total: 0 });
    expectProblem(await ada.api.get("/tasks?project_id=shared"), 422, "validation-failed", ["?project_id"]);
  });

  test("GET /projects/{project}/tasks is the same, by id and by slug", async () => {
    for (const key of [shared.id, shared.slug]) {
      const [titles, body] = await list("", ada, `/projects/${key}/tasks`);
      expect(titles).toEqual(["shared, in progress", "shared"]);
      expect(body).toMatchObject({ limit: 20, offset: 0, total: 2 });
    }
    expect((await list("?status=pending", ada, `/projects/${shared.id}/tasks`))[0]).toEqual(["shared"]);
    expectProblem(await ada.api.get(`/projects/${hidden.id}/tasks`), 404, "not-found");
  });

  test("a project without tasks has none, and is there", async () => {
    const empty = await ben.api.must("POST", "/projects", { name: "Empty" });
    expect((await list("", ben, `/projects/${empty.id}/tasks`))[1]).toEqual({
      items: [],
      limit: 20,
      next_cursor: null,
      offset: 0,
      total: 0,
    });
  });

  test("limit and offset cut it, and total stays", async () => {
    const [titles, body] = await list("?limit=2&offset=2");
    expect(titles).toEqual(["ben's, for ada", "ada's, done"]);
    expect(body).toMatchObject({ limit: 2, offset: 2, total: 5 });
  });

  test("a project's total follows each write, whoever asks and for whichever page", async () => {
    const { id } = await ben.api.must("POST", "/projects", { name: "Counted" });
    const add = (body: object = {}) => ben.api.must("POST", `/projects/${id}/tasks`, { title: "x", ...body });
    const totals = async (who = ben): Promise<number[]> => {
      const asked = [
        "?offset=1",
        "?offset=2&limit=1",
        "?offset=1&status=pending",
        "?offset=1&assigned_to=me",
      ];
      const all = await Promise.all(asked.map((query) => list(query, who, `/projects/${id}/tasks`)));
      return all.map(([, { total }]) => total as number);
    };
    const expectTotals = async (all: number, pending: number, mine: number): Promise<void> => {
      for (let round = 0; round < 2; round++) expect(await totals()).toEqual([all, all, pending, mine]);
      expect(await totals(people.admin)).toEqual([all, all, pending, 0]);
    };
    await expectTotals(0, 0, 0);
    const [first, second] = [await add(), await add({ assigned_to: ben.id })];
    await expectTotals(2, 2, 1);
    await ben.api.must("POST", `/tasks/${first.id}/transitions`, { to: "completed" });
    await expectTotals(2, 1, 1);
    await ben.api.must("DELETE", `/tasks/${second.id}`);
    await expectTotals(1, 0, 0);
    await ben.api.must("POST", `/tasks/${second.id}/restore`);
    await expectTotals(2, 1, 1);
    const operations = upTo(3).map(() => ({ op: "create", title: "x", project_id: id }));
    await ben.api.must("POST", "/tasks/bulk", { operations });
    await expectTotals(5, 4, 1);
    expectProblem(await ada.api.get(`/projects/${id}/tasks?offset=1`), 404, "not-found");
  });

  test("past the end there are no items, and the right total", async () => {
    for (const path of ["/tasks?offset=5", "/tasks?offset=10000", `/projects/${shared.id}/tasks?offset=5`]) {
      const { items, total } = (await ada.api.get(path)).body;
      expect([items, total]).toEqual([[], path.startsWith("/tasks") ? 5 : 2]);
    }
  });

  test("who loses the project loses its tasks", async () => {
    const guest = await node.api.person("guest");
    await ben.api.must("POST", `/projects/${shared.id}/members`, { user_id: guest.id, role: "viewer" });
    expect((await list("", guest))[1].total).toBe(2);
    await ben.api.must("DELETE", `/projects/${shared.id}/members/${guest.id}`);
    expect((await list("", guest))[1].total).toBe(0);
  });

  test("global managers and admins see everything", async () => {
    const { rows } = await db.query("SELECT FROM tasks.tasks WHERE deleted_at IS NULL");
    for (const who of [people.boss, people.admin]) {
      expect((await list("?limit=1", who))[1].total).toBe(rows.length);
      expect((await list("", who, `/projects/${hidden.id}/tasks`))[0]).toEqual(["hidden"]);
    }
  });
});

describe("PATCH /tasks/{id}", () => {
  const FULL = {
    title: "Write it",
    description: "At length",
    status: "in_progress",
    priority: "high",
    due_date: "2030-01-31T12:00:00.000Z",
  };

  test.each<[fields: object]>([
    [{ title: "Mend it" }],
    [{ description: "Shortly" }],
    [{ status: "completed" }],
    [{ priority: "low" }],
    [{ due_date: "2031-01-31T12:00:00.000Z" }],
  ])("%j leaves all other fields as they are", async (fields) => {
    const task = await inProject({ ...FULL, assigned_to: people.member.id });
    const { status, body } = await patch(task.id, fields);
    const completed_at = body.status === "completed" ? body.updated_at : null;
    expect(status).toBe(200);
    expect(body).toEqual({ ...task, ...fields, completed_at, version: 2, updated_at: body.updated_at });
    expect(body.updated_at >= task.updated_at).toBe(true);
    expect(await read(task.id)).toMatchObject(body);
  });

  test("null clears what may be empty", async () => {
    const task = await inProject({ ...FULL, assigned_to: people.member.id });
    const cleared = { description: null, due_date: null, assigned_to: null };
    expect((await patch(task.id, cleared)).body).toMatchObject({ ...FULL, ...cleared, version: 2 });
    expect(await read(task.id)).toMatchObject({ ...FULL, ...cleared });
  });

  test.each<[fields: object]>([
    [{}],
    [{ title: " Write it " }],
    [{ status: "in_progress" }],
    [{ due_date: "2030-01-31T14:00:00+02:00" }],
    [FULL],
  ])("%j changes nothing: the same version, and no event", async (fields) => {
    const ada = await node.api.person("ada");
    const task = await ada.api.must("POST", "/tasks", FULL);
    const { status, body } = await ada.api.patch(`/tasks/${task.id}`, fields);
    expect([status, body]).toEqual([200, task]);
    expect((await readStream(db, `user:${ada.id}`)).map(({ type }) => type)).toEqual(["task_created"]);
  });

  test.each<[field: string, what: string, value: unknown]>([
    ["title", "empty", ""],
    ["title", "null", null],
    ["title", "of 201 characters", "x".repeat(201)],
    ["status", "unknown", "done"],
    ["status", "null", null],
    ["priority", "null", null],
    ["due_date", "of 30 February", "2030-02-30T00:00:00Z"],
    ["project_id", "set", null],
    ["created_by", "set", "01a1fd00-bd86-77b7-82a3-da440c274cf3"],
    ["version", "set", 7],
    ["completed_at", "set", "2030-01-31T12:00:00Z"],
  ])("%s %s is 422, and nothing of it is done", async (field, _, value) => {
    const task = await make({ due_date: "2030-01-31T12:00:00.000Z" });
    const answer = await patch(task.id, { description: "half", [field]: value });
    expectProblem(answer, 422, "validation-failed", [`#/${field}`]);
    expect(await read(task.id)).toMatchObject(task);
  });

  test("a status out of reach is 409, and nothing else is done either", async () => {
    const task = await make();
    expectProblem(await patch(task.id, { title: "y", status: "archived" }), 409, "illegal-transition");
    expect(await read(task.id)).toMatchObject(task);
  });

  test("an assignee has to be one who can see it, as in /assign", async () => {
    const task = await inProject();
    expectProblem(await patch(task.id, { assigned_to: people.stranger.id }), 422, "validation-failed", [
      "#/assigned_to",
    ]);
    expect((await patch(task.id, { assigned_to: people.viewer.id })).body.assigned_to).toBe(people.viewer.id);
  });
});

describe("POST /tasks/{id}/assign", () => {
  test("gives the task to a member, to another, and to nobody", async () => {
    const task = await inProject();
    for (const [version, assigned_to] of [
      [2, people.member.id],
      [3, people.viewer.id],
      [4, null],
    ]) {
      const { status, body } = await assign(task.id, assigned_to);
      expect([status, body]).toEqual([200, { ...task, assigned_to, version, updated_at: body.updated_at }]);
    }
  });

  test("the present assignee changes nothing", async () => {
    const task = await inProject({ assigned_to: people.member.id });
    expect((await assign(task.id, people.member.id)).body).toEqual(task);
  });

  test.each<[what: string, id: () => Promise<unknown>]>([
    ["nobody", async () => newId()],
    ["an outsider", async () => people.stranger.id],
    [
      "a closed account",
      async () => {
        const closed = await node.api.person("closed");
        const user_id = closed.id;
        await people.owner.api.must("POST", `/projects/${project.id}/members`, { user_id, role: "member" });
        await people.admin.api.must("PATCH", `/users/${closed.id}`, { is_active: false });
        return user_id;
      },
    ],
    ["a name", async () => "ada"],
    ["what is missing", async () => undefined],
  ])("to %s is 422", async (_, id) => {
    const task = await inProject();
    expectProblem(await assign(task.id, await id()), 422, "validation-failed", ["#/assigned_to"]);
    expect((await read(task.id)).version).toBe(1);
  });

  test("an id in capitals is the same person, also to their event stream", async () => {
    const ben = await node.api.person("ben");
    await people.owner.api.must("POST", `/projects/${project.id}/members`, {
      user_id: ben.id,
      role: "viewer",
    });
    const task = await make();
    expect((await assign(task.id, ben.id.toUpperCase())).body.assigned_to).toBe(ben.id);
    const types = (await readStream(db, `user:${ben.id}`)).map(({ type }) => type);
    expect(types).toEqual(["member_added", "task_assigned"]);
  });

  test("a personal task goes to its creator, or to who shares a project with them, and to nobody else", async () => {
    const { owner, viewer, stranger, boss, admin } = people;
    const task = await make();
    for (const [who, to] of [
      [owner, newId()],
      [owner, stranger.id],
      [owner, boss.id],
      // Whoever assigns: it is the creator whom the assignee has to know.
      [admin, stranger.id],
    ] as const) {
      expectProblem(await assign(task.id, to, who), 422, "validation-failed", ["#/assigned_to"]);
      const fields = { title: "x", assigned_to: to };
      expectProblem(await who.api.patch(`/tasks/${task.id}`, fields), 422, "validation-failed", [
        "#/assigned_to",
      ]);
      expectProblem(await who.api.put(`/tasks/${task.id}`, fields), 422, "validation-failed", [
        "#/assigned_to",
      ]);
      if (who === owner) expectProblem(await create(fields), 422, "validation-failed", ["#/assigned_to"]);
    }
    expect(await readStream(db, `user:${stranger.id}`)).toEqual([]);
    for (const to of [owner.id, viewer.id]) expect((await assign(task.id, to)).status).toBe(200);
    expect((await create({ assigned_to: viewer.id })).status).toBe(201);

    const gone = await node.api.person("gone");
    const members = `/projects/${project.id}/members`;
    await owner.api.must("POST", members, { user_id: gone.id, role: "viewer" });
    expect((await assign(task.id, gone.id)).status).toBe(200);
    await owner.api.must("DELETE", `${members}/${gone.id}`);
    // Who has it keeps it, and does not get another.
    expect((await assign(task.id, gone.id)).status).toBe(200);
    expectProblem(await create({ assigned_to: gone.id }), 422, "validation-failed", ["#/assigned_to"]);
  });

  test("an assignee gives a task back, whatever their role, and to nobody else", async () => {
    const { viewer, member } = people;
    for (const place of [{ project_id: undefined }, { project_id: project.id }]) {
      const given = { ...place, assigned_to: viewer.id };
      const tasks = [await make(given), await make(given), await make(given), await make(given)];
      const [byAssign, byPatch, byPut, byBulk] = tasks.map(({ id }): string => id);
      expectProblem(await assign(byAssign as string, member.id, viewer), 403, "forbidden");
      const back = { assigned_to: null };
      const answers = [
        await assign(byAssign as string, null, viewer),
        await viewer.api.patch(`/tasks/${byPatch}`, back),
        await viewer.api.post("/tasks/bulk", { operations: [{ op: "assign", id: byBulk, ...back }] }),
      ];
      expect(tally(answers)).toEqual({ 200: 3 });
      // A PUT sets the rest as well, which takes who may edit; and it has to say so.
      const put = (fields: object) => viewer.api.put(`/tasks/${byPut}`, { title: "Write it", ...fields });
      expectProblem(await put({}), 403, "forbidden");
      const own = place.project_id === undefined;
      expect((await put(back)).status).toBe(own ? 200 : 403);
      for (const id of [byAssign, byPatch, byBulk])
        expect(await read(id as string)).toMatchObject({ ...back, version: 2 });
      // What is somebody else's is not theirs to give back.
      const others = await make({ ...place, assigned_to: member.id });
      const refused = await assign(others.id, null, viewer);
      expectProblem(refused, own ? 404 : 403, own ? "not-found" : "forbidden");
    }
    const task = await inProject({ assigned_to: member.id });
    const mine = await member.api.put(`/tasks/${task.id}`, { title: "Mine no more", assigned_to: null });
    expect([mine.status, mine.body.assigned_to]).toEqual([200, null]);
  });

  test("members of a project create tasks, but give them to nobody: 403", async () => {
    const { id } = project;
    const given = { title: "x", project_id: id, assigned_to: people.member.id };
    expectProblem(await people.member.api.post("/tasks", given), 403, "forbidden");
    const task = await inProject();
    expectProblem(
      await people.member.api.patch(`/tasks/${task.id}`, { title: "y", assigned_to: people.member.id }),
      403,
      "forbidden",
    );
    expect((await read(task.id)).title).toBe("Write it");
  });
});

describe("POST /tasks/{id}/transitions", () => {
  const STATUSES = ["pending", "in_progress", "completed", "cancelled", "archived"];
  /** docs/reference.md, Status, and how to get there. */
  const LEADS_TO: [from: string, path: string[], to: string[]][] = [
    ["pending", [], ["in_progress", "completed", "cancelled"]],
    ["in_progress", ["in_progress"], ["pending", "completed", "cancelled"]],
    ["completed", ["completed"], ["in_progress", "archived"]],
    ["cancelled", ["cancelled"], ["pending", "archived"]],
    ["archived", ["completed", "archived"], []],
  ];
  const at = async (path: string[]): Promise<Wire> => {
    let task = await make();
    for (const to of path) task = (await move(task.id, to)).body;
    return task;
  };

  test.each(LEADS_TO)(
    "%s leads where the contract says, and nowhere else (itself neither)",
    async (from, path, to) => {
      for (const status of STATUSES) {
        const task = await at(path);
        expect(task.status).toBe(from);
        const answer = await move(task.id, status);
        if (to.includes(status))
          expect([answer.status, answer.body]).toMatchObject([200, { status, version: task.version + 1 }]);
        else {
          expectProblem(answer, 409, "illegal-transition");
          expect(await read(task.id)).toMatchObject(task);
        }
      }
    },
  );

  test.each(LEADS_TO)(
    "PATCH goes from %s to the same places, and may name where it is",
    async (from, path, to) => {
      for (const status of STATUSES) {
        const task = await at(path);
        const answer = await patch(task.id, { status });
        expect([status, answer.status]).toEqual([status, status === from || to.includes(status) ? 200 : 409]);
        if (status === from) expect(answer.body.version).toBe(task.version);
      }
    },
  );

  test("completed_at comes with completion, stays in the archive and goes with reopening", async () => {
    const task = await make();
    const completed = (await move(task.id, "completed")).body;
    expect(completed.completed_at).toBe(completed.updated_at);
    expect((await move(task.id, "in_progress")).body.completed_at).toBeNull();
    const again = (await move(task.id, "completed")).body;
    expect((await move(task.id, "archived")).body.completed_at).toBe(again.completed_at);
  });

  test.each([["done"], [null], [undefined], [["completed"]]])("to %j is 422", async (to) => {
    const task = await make();
    expectProblem(await move(task.id, to), 422, "validation-failed", ["#/to"]);
  });
});

describe("DELETE /tasks/{id}", () => {
  test("204, then 404 on every route, and gone from lists and counts", async () => {
    const { id } = await people.owner.api.must("POST", "/projects", { name: "Tidy" });
    const [kept, gone] = [await make({ project_id: id }), await make({ project_id: id })];
    const answer = await people.owner.api.delete(`/tasks/${gone.id}`);
    expect([answer.status, answer.body]).toEqual([204, null]);
    for (const again of [
      await people.owner.api.delete(`/tasks/${gone.id}`),
      await people.owner.api.get(`/tasks/${gone.id}`),
      await patch(gone.id, { title: "x" }),
      await assign(gone.id, null),
      await assign(gone.id, people.owner.id),
      await move(gone.id, "completed"),
    ])
      expectProblem(again, 404, "not-found");
    const { items, total } = await people.owner.api.must("GET", `/projects/${id}/tasks`);
    expect([items.map((task: Wire) => task.id), total]).toEqual([[kept.id], 1]);
    expect((await people.owner.api.get(`/projects/${id}`)).body.task_counts.pending).toBe(1);
  });

  test("of ten at once, one does it, with one event", async () => {
    const ada = await node.api.person("ada");
    const { id } = await ada.api.must("POST", "/tasks", { title: "x" });
    const answers = await Promise.all(upTo(10).map(() => ada.api.delete(`/tasks/${id}`)));
    expect(tally(answers)).toEqual({ 204: 1, 404: 9 });
    const log = await readStream(db, `user:${ada.id}`);
    expect(log.map(({ type }) => type)).toEqual(["task_created", "task_deleted"]);
  });
});

describe("who may do what", () => {
  type Verb = (who: Person, id: string) => Promise<Answer>;
  const VERBS = {
    read: (who, id) => who.api.get(`/tasks/${id}`),
    edit: (who, id) => who.api.patch(`/tasks/${id}`, { title: who.username }),
    move: (who, id) => move(id, "in_progress", who),
    assign: (who, id) => assign(id, null, who),
    delete: (who, id) => who.api.delete(`/tasks/${id}`),
  } satisfies Record<string, Verb>;
  type Row = [verb: keyof typeof VERBS, statuses: object];

  /** The status that each actor gets for `verb` on a task of their own turn. */
  async function statuses<Name extends string>(
    actors: Record<Name, Person>,
    task: () => Promise<Wire>,
    verb: Verb,
  ): Promise<Record<string, number>> {
    const got: Record<string, number> = {};
    for (const [name, who] of Object.entries<Person>(actors)) {
      const answer = await verb(who, (await task()).id);
      got[name] = answer.status;
      if (answer.status === 403) expectProblem(answer, 403, "forbidden");
      if (answer.status === 404) expectProblem(answer, 404, "not-found");
    }
    return got;
  }

  test.each<Row>([
    ["read", { owner: 200, manager: 200, member: 200, viewer: 200, stranger: 404, boss: 200, admin: 200 }],
    ["edit", { owner: 200, manager: 200, member: 200, viewer: 403, stranger: 404, boss: 200, admin: 200 }],
    ["move", { owner: 200, manager: 200, member: 200, viewer: 403, stranger: 404, boss: 200, admin: 200 }],
    ["assign", { owner: 200, manager: 200, member: 403, viewer: 403, stranger: 404, boss: 200, admin: 200 }],
    ["delete", { owner: 204, manager: 204, member: 403, viewer: 403, stranger: 404, boss: 403, admin: 204 }],
  ])("%s a project's task: %j", async (verb, expected) => {
    expect(await statuses(people, inProject, VERBS[verb])).toEqual(expected);
  });

  test("create in a project", async () => {
    const make: Verb = (who) => who.api.post(`/projects/${project.id}/tasks`, { title: "x" });
    expect(await statuses(people, inProject, make)).toEqual({
      owner: 201,
      manager: 201,
      member: 201,
      viewer: 403,
      stranger: 404,
      boss: 403,
      admin: 201,
    });
  });

  test("list a project's tasks", async () => {
    const list: Verb = (who) => who.api.get(`/projects/${project.id}/tasks`);
    expect(await statuses(people, inProject, list)).toEqual({
      owner: 200,
      manager: 200,
      member: 200,
      viewer: 200,
      stranger: 404,
      boss: 200,
      admin: 200,
    });
  });

  test.each<Row>([
    ["read", { creator: 200, assignee: 200, stranger: 404, boss: 200, admin: 200 }],
    ["edit", { creator: 200, assignee: 200, stranger: 404, boss: 200, admin: 200 }],
    ["move", { creator: 200, assignee: 200, stranger: 404, boss: 200, admin: 200 }],
    // To nobody: an assignee gives it back.
    ["assign", { creator: 200, assignee: 200, stranger: 404, boss: 200, admin: 200 }],
    ["delete", { creator: 204, assignee: 403, stranger: 404, boss: 403, admin: 204 }],
  ])("%s a personal task: %j", async (verb, expected) => {
    const { owner: creator, viewer: assignee, stranger, boss, admin } = people;
    const personal = (): Promise<Wire> => make({ assigned_to: assignee.id });
    expect(await statuses({ creator, assignee, stranger, boss, admin }, personal, VERBS[verb])).toEqual(
      expected,
    );
  });

  test("who made a task and is a viewer now reads it and no more", async () => {
    const late = await node.api.person("late");
    const members = `/projects/${project.id}/members`;
    await people.owner.api.must("POST", members, { user_id: late.id, role: "member" });
    const { id } = await late.api.must("POST", `/projects/${project.id}/tasks`, { title: "x" });
    await people.owner.api.must("PATCH", `${members}/${late.id}`, { role: "viewer" });
    expect((await late.api.get(`/tasks/${id}`)).status).toBe(200);
    expectProblem(await late.api.patch(`/tasks/${id}`, { title: "y" }), 403, "forbidden");
    await people.owner.api.must("DELETE", `${members}/${late.id}`);
    expectProblem(await late.api.get(`/tasks/${id}`), 404, "not-found");
  });

  test("an unassigned personal task is its former assignee's no more", async () => {
    const task = await make({ assigned_to: people.viewer.id });
    await assign(task.id, null);
    expectProblem(await people.viewer.api.get(`/tasks/${task.id}`), 404, "not-found");
  });

  test("a stranger learns nothing by assigning: 404 before 422", async () => {
    const task = await inProject();
    expectProblem(await assign(task.id, newId(), people.stranger), 404, "not-found");
    expectProblem(await assign(task.id, newId(), people.member), 403, "forbidden");
  });

  test.each(["nothing", "1", "01a1fd00-bd86-77b7-82a3-da440c274cf3", "null"])(
    "task %s is 404 for everybody",
    async (id) => {
      for (const verb of Object.values(VERBS))
        for (const who of [people.owner, people.admin]) expectProblem(await verb(who, id), 404, "not-found");
    },
  );
});

describe("many at once", () => {
  const MANY = 50;

  test("fifty creations in one project are fifty rows, and fifty events without a hole", async () => {
    const { id } = await people.owner.api.must("POST", "/projects", { name: "Busy" });
    const answers = await Promise.all(
      upTo(MANY).map((n) => people.owner.api.post(`/projects/${id}/tasks`, { title: `${n}` })),
    );
    expect(tally(answers)).toEqual({ 201: MANY });
    const { items, total } = await people.owner.api.must("GET", `/projects/${id}/tasks?limit=100`);
    expect(total).toBe(MANY);
    const created = answers.map(({ body }) => body);
    expect(new Set(items.map((task: Wire) => task.id))).toEqual(
      new Set(created.map((task: Wire) => task.id)),
    );

    const log = await readStream(db, `project:${id}`);
    expect(log.map(({ seq }) => seq)).toEqual(upTo(MANY + 1));
    expect(log.slice(1).every(({ type }) => type === "task_created")).toBe(true);
    expect(new Set(log.slice(1).map(({ data }): string => data.task.title)).size).toBe(MANY);
    const { rows } = await db.query("SELECT head::int FROM events.streams WHERE name = $1", [
      `project:${id}`,
    ]);
    expect(rows).toEqual([{ head: MANY + 1 }]);
  });

  test("of fifty who claim one task, one gets it, and one event says so", async () => {
    const { id } = await people.owner.api.must("POST", "/projects", { name: "Rush" });
    await people.owner.api.must("POST", `/projects/${id}/members`, {
      user_id: people.member.id,
      role: "member",
    });
    const task = await make({ project_id: id });
    const claimants = [people.owner, people.member, people.admin];
    const answers = await Promise.all(
      upTo(MANY).map((n) => move(task.id, "in_progress", claimants[n % claimants.length])),
    );
    expect(tally(answers)).toEqual({ 200: 1, 409: MANY - 1 });
    for (const answer of answers) if (answer.status === 409) expectProblem(answer, 409, "illegal-transition");
    expect(await read(task.id)).toMatchObject({ status: "in_progress", version: 2 });
    expect((await readStream(db, `project:${id}`)).map(({ seq, type }) => [seq, type])).toEqual([
      [1, "member_added"],
      [2, "member_added"],
      [3, "task_created"],
      [4, "task_updated"],
    ]);
  });

  test("fifty edits of one task's fields are all done, each once, and none undoes another", async () => {
    const ada = await node.api.person("ada");
    const task = await ada.api.must("POST", "/tasks", { title: "0" });
    const edits = upTo(MANY).map(
      (n): Wire =>
        [{ title: `${n}` }, { description: `${n}` }, { due_date: new Date(n * 1e11).toISOString() }][n % 3],
    );
    const answers = await Promise.all(edits.map((edit) => ada.api.patch(`/tasks/${task.id}`, edit)));
    expect(tally(answers)).toEqual({ 200: MANY });
    for (const [n, { body }] of answers.entries()) expect(body).toMatchObject(edits[n]);
    expect(answers.map(({ body }): number => body.version).sort((a, b) => a - b)).toEqual(
      upTo(MANY).map((n) => n + 1),
    );

    // What the log tells, one change after the other, leads from the first state to the last.
    const log = (await readStream(db, `user:${ada.id}`)).slice(1);
    expect(log.map(({ seq }) => seq)).toEqual(upTo(MANY).map((n) => n + 1));
    let state = task;
    for (const { type, data } of log) {
      expect([type, Object.keys(data.changes)]).toEqual(["task_updated", [expect.any(String)]]);
      for (const [field, { old, new: value }] of Object.entries<Wire>(data.changes)) {
        expect([field, state[field]]).toEqual([field, old]);
        state = { ...state, [field]: value, version: state.version + 1, updated_at: data.task.updated_at };
      }
      expect(data.task).toEqual(state);
    }
    expect((await ada.api.get(`/tasks/${task.id}`)).body).toMatchObject(state);
  });
});
