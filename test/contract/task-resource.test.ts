import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { until } from "../../local/until.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { type Cast, makeCast, makeProject } from "../support/cast.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let people: Cast;
let project: Wire;
/** The owner's. */
let category: Wire;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  people = await makeCast(node, db);
  project = await makeProject(people);
  category = await people.owner.api.must("POST", "/categories", { name: "Home", color: "#00ff00" });
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

/** A personal task of the owner's, or with `project_id` one of the project. */
const make = (fields: object = {}, who = people.owner): Promise<Wire> =>
  who.api.must("POST", "/tasks", { title: "Write it", ...fields });
const inProject = (fields: object = {}): Promise<Wire> => make({ project_id: project.id, ...fields });
const replace = (id: string, fields: object, who = people.owner): Promise<Answer> =>
  who.api.put(`/tasks/${id}`, fields);
const read = (id: string): Promise<Wire> => people.owner.api.must("GET", `/tasks/${id}`);
const remove = (id: string, who = people.owner): Promise<Answer> => who.api.delete(`/tasks/${id}`);
const restore = (id: string, who = people.owner): Promise<Answer> => who.api.post(`/tasks/${id}/restore`);
const personOf = ({ id, username }: Person): object => ({ id, username, first_name: null, last_name: null });

/** What a stream tells of one task: types and changes. */
const told = async (stream: string, id: string): Promise<[type: string, changes: Wire][]> =>
  (await readStream(db, stream))
    .filter(({ data }) => data.task?.id === id)
    .map(({ type, data }) => [type, data.changes]);
const inProjectLog = (id: string): Promise<[string, Wire][]> => told(`project:${project.id}`, id);

/** Archives a project for the time of `work`. */
async function archived(id: string, work: () => Promise<void>): Promise<void> {
  await people.owner.api.must("PATCH", `/projects/${id}`, { status: "archived" });
  await work().finally(() => people.owner.api.must("PATCH", `/projects/${id}`, { status: "active" }));
}

describe("GET /tasks/{id}", () => {
  test("says what its ids stand for, in a few words each, and counts its comments", async () => {
    const task = await inProject({ category_id: category.id, assigned_to: people.member.id });
    for (const body of ["one", "two"])
      await people.member.api.must("POST", `/tasks/${task.id}/comments`, { body });
    const { status, body } = await people.viewer.api.get(`/tasks/${task.id}`);
    expect([status, body]).toEqual([
      200,
      {
        ...task,
        project: { id: project.id, slug: project.slug, name: project.name },
        creator: personOf(people.owner),
        assignee: personOf(people.member),
        category: { id: category.id, name: "Home", color: "#00FF00" },
        comment_count: 2,
      },
    ]);
  });

  test("a personal task that nobody has stands alone", async () => {
    const task = await make();
    expect(await read(task.id)).toEqual({
      ...task,
      project: null,
      creator: personOf(people.owner),
      assignee: null,
      category: null,
      comment_count: 0,
    });
  });

  test("a stranger's is 404, and so is a deleted one, also to its creator", async () => {
    const { id } = await inProject();
    expectProblem(await people.stranger.api.get(`/tasks/${id}`), 404, "not-found");
    await remove(id);
    expectProblem(await people.owner.api.get(`/tasks/${id}`), 404, "not-found");
  });
});

describe("PUT /tasks/{id}", () => {
  const FULL = {
    title: "Mend it",
    description: "At length",
    status: "in_progress",
    priority: "urgent",
    due_date: "2030-01-31T12:00:00.000Z",
  };
  const full = () => ({ ...FULL, category_id: category.id, assigned_to: people.member.id });
  const DEFAULTS = {
    description: null,
    status: "pending",
    priority: "medium",
    category_id: null,
    assigned_to: null,
    due_date: null,
  };

  test("sets everything", async () => {
    const task = await inProject();
    const { status, body } = await replace(task.id, full());
    expect([status, body]).toEqual([200, { ...task, ...full(), version: 2, updated_at: body.updated_at }]);
    expect(await read(task.id)).toMatchObject(body);
  });

  test("what is left out goes back to its default, in two events", async () => {
    const task = await inProject(full());
    const { body } = await replace(task.id, { title: "Bare" });
    expect(body).toEqual({
      ...task,
      ...DEFAULTS,
      title: "Bare",
      version: 2,
      updated_at: body.updated_at,
    });
    expect((await inProjectLog(task.id)).slice(1)).toEqual([
      ["task_assigned", { assigned_to: { old: people.member.id, new: null } }],
      [
        "task_updated",
        {
          title: { old: FULL.title, new: "Bare" },
          description: { old: FULL.description, new: null },
          status: { old: "in_progress", new: "pending" },
          priority: { old: "urgent", new: "medium" },
          category_id: { old: category.id, new: null },
          due_date: { old: FULL.due_date, new: null },
        },
      ],
    ]);
  });

  test("completed and given away at once is an event for each meaning, and one for the rest", async () => {
    const task = await inProject();
    const { id } = people.member;
    const { body } = await replace(task.id, { title: "Mend it", status: "completed", assigned_to: id });
    const { completed_at } = body;
    expect(completed_at).toBe(body.updated_at);
    const assigned = ["task_assigned", { assigned_to: { old: null, new: id } }];
    expect((await inProjectLog(task.id)).slice(1)).toEqual([
      [
        "task_completed",
        { status: { old: "pending", new: "completed" }, completed_at: { old: null, new: completed_at } },
      ],
      assigned,
      ["task_updated", { title: { old: "Write it", new: "Mend it" } }],
    ]);
    expect(await told(`user:${id}`, task.id)).toEqual([assigned]);
  });

  test("what is so already changes nothing: no version, no event", async () => {
    const task = await inProject(full());
    expect((await replace(task.id, full())).body).toEqual(task);
    expect(await inProjectLog(task.id)).toHaveLength(1);
  });

  test("a status that does not lead back to pending has to be named, or it is 409", async () => {
    const task = await make({ status: "completed" });
    expectProblem(await replace(task.id, { title: "Mend it" }), 409, "illegal-transition");
    expect(await read(task.id)).toMatchObject(task);
    expect((await replace(task.id, { title: "Mend it", status: "completed" })).body).toEqual(
      expect.objectContaining({ title: "Mend it", completed_at: task.completed_at, version: 2 }),
    );
  });

  test("members edit, and may not change the assignee by it, nor by leaving it out", async () => {
    const { member, viewer } = people;
    const task = await inProject({ assigned_to: member.id });
    const same = { title: "Mend it", assigned_to: member.id };
    expect((await replace(task.id, same, member)).status).toBe(200);
    expectProblem(await replace(task.id, { title: "x" }, member), 403, "forbidden");
    expectProblem(await replace(task.id, { ...same, assigned_to: viewer.id }, member), 403, "forbidden");
    expect(await read(task.id)).toMatchObject({ ...same, version: 2 });
  });

  test("viewers are refused with 403, strangers with 404, also for an assignee that isn't there", async () => {
    const { id } = await inProject();
    for (const fields of [{ title: "x" }, { title: "x", assigned_to: newId() }]) {
      expectProblem(await replace(id, fields, people.viewer), 403, "forbidden");
      expectProblem(await replace(id, fields, people.stranger), 404, "not-found");
    }
    expectProblem(await replace(newId(), { title: "x" }), 404, "not-found");
  });

  test.each<[what: string, fields: () => object, pointer: string]>([
    ["without a title", () => ({ description: "x" }), "#/title"],
    ["that moves it to a project", () => ({ title: "x", project_id: project.id }), "#/project_id"],
    ["that sets its version", () => ({ title: "x", version: 7 }), "#/version"],
    [
      "for somebody who can't see it",
      () => ({ title: "x", assigned_to: people.stranger.id }),
      "#/assigned_to",
    ],
    ["with a category that isn't there", () => ({ title: "x", category_id: newId() }), "#/category_id"],
    ["with status null", () => ({ title: "x", status: null }), "#/status"],
  ])("a replacement %s is 422, and nothing of it is done", async (_, fields, pointer) => {
    const task = await inProject();
    expectProblem(await replace(task.id, fields()), 422, "validation-failed", [pointer]);
    expect(await read(task.id)).toMatchObject(task);
  });

  test("in an archived project it is 409", async () => {
    const { id } = await inProject();
    await archived(project.id, async () =>
      expectProblem(await replace(id, { title: "x" }), 409, "project-archived"),
    );
  });
});

describe("a task's category", () => {
  const put = (id: string, category_id: unknown, who = people.owner): Promise<Answer> =>
    who.api.patch(`/tasks/${id}`, { category_id });

  test("is set and cleared, each with an event", async () => {
    const task = await inProject();
    expect((await put(task.id, category.id)).body).toMatchObject({ category_id: category.id, version: 2 });
    expect((await put(task.id, null)).body).toMatchObject({ category_id: null, version: 3 });
    expect((await inProjectLog(task.id)).slice(1)).toEqual([
      ["task_updated", { category_id: { old: null, new: category.id } }],
      ["task_updated", { category_id: { old: category.id, new: null } }],
    ]);
  });

  test("has to be one's own: 422, the same as for one that isn't there", async () => {
    const task = await inProject();
    for (const id of [category.id, newId()])
      expectProblem(await put(task.id, id, people.member), 422, "validation-failed", ["#/category_id"]);
    for (const path of ["/tasks", `/projects/${project.id}/tasks`])
      expectProblem(
        await people.member.api.post(path, { title: "x", category_id: category.id }),
        422,
        "validation-failed",
        ["#/category_id"],
      );
    expect((await read(task.id)).version).toBe(1);
  });

  test("that somebody else gave it may be named by who edits the rest", async () => {
    const task = await inProject({ category_id: category.id });
    const { status, body } = await replace(
      task.id,
      { title: "Mend it", category_id: category.id },
      people.member,
    );
    expect([status, body.category_id]).toEqual([200, category.id]);
  });
});

describe("deleting and restoring", () => {
  test("204, and 404 for the second one; restored, it is as it was, two versions on", async () => {
    const task = await inProject({ category_id: category.id, assigned_to: people.member.id });
    expect((await remove(task.id)).status).toBe(204);
    expectProblem(await remove(task.id), 404, "not-found");
    const { status, body } = await restore(task.id);
    expect([status, body]).toEqual([200, { ...task, version: 3, updated_at: body.updated_at }]);
    expect(await read(task.id)).toMatchObject(body);

    const log = (await readStream(db, `project:${project.id}`)).filter(
      ({ data }) => data.task?.id === task.id,
    );
    expect(log.map(({ type }) => type)).toEqual(["task_created", "task_deleted", "task_restored"]);
    expect(log[1]?.data).toEqual({
      task: expect.objectContaining({ version: 2, deleted_at: expect.any(String) }),
    });
    expect(log[2]?.data).toEqual({ task: body });
  });

  test("a personal one is told to its creator and its assignee, and to nobody else", async () => {
    const { owner, viewer, member } = people;
    const task = await make({ assigned_to: viewer.id });
    await remove(task.id);
    await restore(task.id);
    for (const { id } of [owner, viewer])
      expect((await told(`user:${id}`, task.id)).map(([type]) => type)).toEqual([
        "task_created",
        "task_deleted",
        "task_restored",
      ]);
    expect(await told(`user:${member.id}`, task.id)).toEqual([]);
    expect(await inProjectLog(task.id)).toEqual([]);
  });

  test("a task that is not deleted, and one that never was, is 404", async () => {
    const { id } = await make();
    for (const one of [id, newId(), "nothing"]) expectProblem(await restore(one), 404, "not-found");
    expect((await read(id)).version).toBe(1);
  });

  test("is for who may delete it: 403 for others who could see it, 404 for strangers", async () => {
    const { member, viewer, stranger, boss, manager, admin } = people;
    for (const who of [manager, admin]) {
      const { id } = await inProject();
      await remove(id);
      for (const other of [member, viewer, boss]) expectProblem(await restore(id, other), 403, "forbidden");
      expectProblem(await restore(id, stranger), 404, "not-found");
      expect((await restore(id, who)).status).toBe(200);
    }
    const personal = await make({ assigned_to: member.id });
    await remove(personal.id);
    expectProblem(await restore(personal.id, member), 403, "forbidden");
    expectProblem(await restore(personal.id, viewer), 404, "not-found");
  });

  test("in an archived project it is 409, in a deleted one 404", async () => {
    const { id } = await makeProject(people, { name: "Short-lived" });
    const task = await make({ project_id: id });
    await remove(task.id);
    await archived(id, async () => expectProblem(await restore(task.id), 409, "project-archived"));
    await people.owner.api.must("DELETE", `/projects/${id}`);
    expectProblem(await restore(task.id), 404, "not-found");
  });

  test("it is not in lists meanwhile, unless include_deleted asks for one's own or managed ones", async () => {
    const { id } = await makeProject(people, { name: "Graveyard" });
    const { owner, manager, member, viewer, boss, admin } = people;
    await make({ project_id: id, title: "kept" });
    const gone = await make({ project_id: id, title: "owner's" });
    const also = await make({ project_id: id, title: "member's" }, member);
    for (const task of [gone, also]) await remove(task.id);
    const seen = async (who: Person, query: string): Promise<[titles: string[], total: number]> => {
      const { items, total } = await who.api.must("GET", `/projects/${id}/tasks?sort=title${query}`);
      for (const item of items) expect("deleted_at" in item).toBe(item.title !== "kept");
      return [items.map(({ title }: Wire): string => title), total];
    };
    expect(await seen(owner, "")).toEqual([["kept"], 1]);
    expect(await seen(owner, "&include_deleted=false")).toEqual([["kept"], 1]);
    for (const who of [owner, manager, admin])
      expect(await seen(who, "&include_deleted=true")).toEqual([["kept", "member's", "owner's"], 3]);
    expect(await seen(member, "&include_deleted=true")).toEqual([["kept", "member's"], 2]);
    for (const who of [viewer, boss]) expect(await seen(who, "&include_deleted=true")).toEqual([["kept"], 1]);
  });

  test("include_deleted shows a deleted personal task to its creator, not to its assignee", async () => {
    const { owner, viewer } = people;
    const task = await make({ title: "Once", assigned_to: viewer.id });
    await remove(task.id);
    const has = async (who: Person): Promise<boolean> =>
      (await who.api.must("GET", "/tasks?include_deleted=true&limit=100")).items.some(
        ({ id }: Wire) => id === task.id,
      );
    expect([await has(owner), await has(viewer)]).toEqual([true, false]);
  });
});

describe("GET /tasks", () => {
  let ada: Person;
  let ben: Person;
  let shared: Wire;
  let errands: Wire;

  const DAY = 86_400_000;
  const inDays = (days: number): string =>
    new Date(Math.trunc(Date.now() / 1000) * 1000 + days * DAY).toISOString();
  const SOON = inDays(3);
  const LATER = inDays(9);

  beforeAll(async () => {
    [ada, ben] = (await Promise.all(["ada", "ben"].map((name) => node.api.person(name)))) as [Person, Person];
    shared = await ben.api.must("POST", "/projects", { name: "Shared" });
    await ben.api.must("POST", `/projects/${shared.id}/members`, { user_id: ada.id, role: "member" });
    errands = await ada.api.must("POST", "/categories", { name: "Errands", color: "#123456" });
    const late = inDays(-2);
    const tasks: [who: Person, fields: object][] = [
      [ada, { title: "Buy milk", priority: "low", due_date: late, category_id: errands.id }],
      [ada, { title: "Deploy staging", priority: "high", description: "and buy a cake", due_date: SOON }],
      [ada, { title: "Deploy production", priority: "urgent", status: "in_progress", due_date: LATER }],
      [ada, { title: "Old news", priority: "low", status: "completed", due_date: late }],
      [ben, { title: "ask Ada", priority: "high", assigned_to: ada.id }],
      [ben, { title: "Shared plan", project_id: shared.id, priority: "urgent", assigned_to: ben.id }],
    ];
    for (const [n, [who, body]] of tasks.entries()) {
      const { id } = await who.api.must("POST", "/tasks", body);
      // One a day, so that no two are of the same time.
      await db.query("UPDATE tasks.tasks SET created_at = $2, updated_at = $3 WHERE id = $1", [
        id,
        inDays(n - 20),
        inDays(-n - 1),
      ]);
    }
  });

  const list = (query: string, path = "/tasks"): Promise<Answer> => ada.api.get(`${path}?${query}`);
  const titles = async (query: string): Promise<string[]> => {
    const { body } = await list(query);
    expect(body.total).toBe(body.items.length);
    return body.items.map(({ title }: Wire): string => title);
  };

  test.each<[query: () => string, found: string[]]>([
    [() => "", ["Buy milk", "Deploy staging", "Deploy production", "Old news", "ask Ada", "Shared plan"]],
    [() => "status=in_progress", ["Deploy production"]],
    [() => "status=completed,in_progress", ["Deploy production", "Old news"]],
    [() => "priority=low", ["Buy milk", "Old news"]],
    [() => "priority=high,urgent&status=pending", ["Deploy staging", "ask Ada", "Shared plan"]],
    [() => "assigned_to=me", ["ask Ada"]],
    [() => `assigned_to=${ada.id.toUpperCase()}`, ["ask Ada"]],
    [() => `assigned_to=${ben.id}`, ["Shared plan"]],
    [() => `assigned_to=${newId()}`, []],
    [() => "assigned_to=none", ["Buy milk", "Deploy staging", "Deploy production", "Old news"]],
    [() => `created_by=${ben.id}`, ["ask Ada", "Shared plan"]],
    [() => `category_id=${errands.id}`, ["Buy milk"]],
    [() => `category_id=${newId()}`, []],
    [() => `project_id=${shared.id}`, ["Shared plan"]],
    [() => `project_id=${project.id}`, []],
    [() => "project_id=none", ["Buy milk", "Deploy staging", "Deploy production", "Old news", "ask Ada"]],
    [() => "project_id=none&assigned_to=me", ["ask Ada"]],
    [() => `due_date_from=${SOON}`, ["Deploy staging", "Deploy production"]],
    [() => `due_date_to=${SOON}`, ["Buy milk", "Deploy staging", "Old news"]],
    [() => `due_date_from=${SOON}&due_date_to=${SOON}`, ["Deploy staging"]],
    [() => "overdue=true", ["Buy milk"]],
    [() => "overdue=false", ["Deploy staging", "Deploy production", "Old news", "ask Ada", "Shared plan"]],
    [() => `updated_since=${inDays(-2.5)}`, ["Buy milk", "Deploy staging"]],
    [() => "q=deploy", ["Deploy staging", "Deploy production"]],
    [() => "q=DEPLOYING", ["Deploy staging", "Deploy production"]],
    [() => "q=deploy%20-staging", ["Deploy production"]],
    [() => "q=buy", ["Buy milk", "Deploy staging"]],
    [() => "q=milk%20or%20plan", ["Buy milk", "Shared plan"]],
    [() => "q=%22buy%20milk%22", ["Buy milk"]],
    [() => "q=%22milk%20buy%22", []],
    [() => "q=buy%20cake&priority=high&assigned_to=none", ["Deploy staging"]],
    [() => "q=the", []],
    [() => "q=%22%20or%20-%20%26%20%7C%20!%20()%3A*'%5C", []],
  ])("%s finds %j", async (query, found) => {
    const by = query();
    expect(await titles(`${by}${by === "" ? "" : "&"}sort=created_at`)).toEqual(found);
  });

  describe("a search", () => {
    let dora: Person;
    const TITLES = [
      "See https://example.com/a/b?page=2#top for more",
      "Mail to ada@example.com",
      "日本語のタスク",
      "東京で会う",
      "Reset the password",
      "Passing the exam",
      "The Who",
      "To be or not to be",
      "Café menu",
      "release v1.2.3 of src/core/rules.ts",
    ];
    beforeAll(async () => {
      dora = await node.api.person("dora");
      await dora.api.must("POST", "/tasks/bulk", {
        operations: TITLES.map((title) => ({ op: "create", title })),
      });
    });

    test.each<[q: string, found: number[]]>([
      ["https://example.com/a/b?page=2#top", [0]],
      ["https://example.com/a/b", [0]],
      ["example.com/a", [0]],
      ["https://example.com/b/a", []],
      ["example.com", [0, 1]],
      ["ada@example.com", [1]],
      ["日本語", [2]],
      ["本語の", [2]],
      ["語本", []],
      ["東京", [3]],
      ["京", [3]],
      ["pass", [4, 5]],
      ["PASSW", [4]],
      ["passes", [5]],
      ["pass -exam", [4]],
      ['"pass"', []],
      ['"the password"', [4]],
      ["the who", [6]],
      ['"to be or not to be"', [7]],
      ["to be", [7]],
      ["the password", [4]],
      ["who or 東京", [3, 6]],
      ["caf", [8]],
      ["café", [8]],
      ["v1.2.3", [9]],
      ["rules.ts", [9]],
      ["core/ru", [9]],
      ["it's", []],
      ["<q>", []],
      ['"more mail"', []],
      ["'' \\ :* !", []],
    ])("for %s finds %j", async (q, found) => {
      const { items } = await dora.api.must("GET", `/tasks?sort=created_at,title&q=${encodeURIComponent(q)}`);
      expect(new Set(items.map(({ title }: Wire) => TITLES.indexOf(title)))).toEqual(new Set(found));
    });

    test("gives titles before descriptions, and whole words before beginnings", async () => {
      const fay = await node.api.person("fay");
      for (const fields of [
        { title: "x", description: "a draft" },
        { title: "Drafting" },
        { title: "Draftsman" },
        { title: "Draft" },
      ])
        await fay.api.must("POST", "/tasks", fields);
      const { items } = await fay.api.must("GET", "/tasks?q=draft");
      const titles = items.map(({ title }: Wire): string => title);
      expect(titles.filter((title: string) => title !== "Drafting")).toEqual(["Draft", "Draftsman", "x"]);
    });

    test("follows what a task says by now", async () => {
      const { id } = await dora.api.must("POST", "/tasks", { title: "Zebra", description: "縞馬です" });
      const total = async (q: string): Promise<number> =>
        (await dora.api.must("GET", `/tasks?q=${encodeURIComponent(q)}`)).total;
      expect([await total("zeb"), await total("縞馬")]).toEqual([1, 1]);
      await dora.api.must("PATCH", `/tasks/${id}`, { title: "Horse", description: null });
      expect([await total("zeb"), await total("縞馬"), await total("hor")]).toEqual([0, 0, 1]);
    });
  });

  test("what is overdue changes by time alone, also in a project whose lists were just read", async () => {
    /** @returns reads the list, which was read before its task was due: on a machine that is too slow the task is another's */
    const press = async (ms = 700): Promise<() => Promise<unknown[]>> => {
      const { id } = await makeProject(people, { name: "Pressed" });
      const overdue = async (): Promise<unknown[]> =>
        (await people.owner.api.must("GET", `/projects/${id}/tasks?overdue=true`)).items;
      const due = Date.now() + ms;
      await make({ project_id: id, due_date: new Date(due).toISOString() });
      const early = await overdue();
      if (Date.now() >= due) return press(2 * ms);
      expect(early).toEqual([]);
      return overdue;
    };
    const overdue = await press();
    // Sooner than any answer that was kept is forgotten.
    expect(await until(async () => (await overdue()).length === 1, 10_000)).toBe(true);
  });

  test("archived=false leaves out the tasks of archived projects, and archived=true all others", async () => {
    const cleo = await node.api.person("cleo");
    const late = { due_date: inDays(-1), assigned_to: cleo.id };
    for (const name of ["Running", "Shelved"]) {
      const { id } = await cleo.api.must("POST", "/projects", { name });
      await cleo.api.must("POST", `/projects/${id}/tasks`, { title: name, ...late });
      if (name === "Shelved") await cleo.api.must("PATCH", `/projects/${id}`, { status: "archived" });
    }
    await cleo.api.must("POST", "/tasks", { title: "Private", ...late });
    const found = async (query: string): Promise<string[]> => {
      const { items, total } = await cleo.api.must("GET", `/tasks?sort=title&${query}`);
      expect(total).toBe(items.length);
      return items.map(({ title }: Wire): string => title);
    };
    for (const query of ["assigned_to=me&overdue=true", "q=private%20or%20running%20or%20shelved", ""]) {
      expect(await found(query)).toEqual(["Private", "Running", "Shelved"]);
      expect(await found(`${query}&archived=false`)).toEqual(["Private", "Running"]);
      expect(await found(`${query}&archived=true`)).toEqual(["Shelved"]);
    }
  });

  test("the same filters hold for a project's list", async () => {
    const path = `/projects/${shared.slug}/tasks`;
    const found = async (query: string): Promise<number> => (await list(query, path)).body.total;
    expect(await found("priority=urgent&q=plan&created_by=" + ben.id)).toBe(1);
    expect(await found("priority=low")).toBe(0);
    expect(await found("assigned_to=me")).toBe(0);
    expectProblem(await list(`project_id=${shared.id}`, path), 422, "validation-failed", ["?project_id"]);
  });

  test.each<[sort: string, order: string[]]>([
    ["created_at", ["Buy milk", "Deploy staging", "Deploy production", "Old news", "ask Ada", "Shared plan"]],
    [
      "-created_at",
      ["Shared plan", "ask Ada", "Old news", "Deploy production", "Deploy staging", "Buy milk"],
    ],
    ["updated_at", ["Shared plan", "ask Ada", "Old news", "Deploy production", "Deploy staging", "Buy milk"]],
    ["title", ["ask Ada", "Buy milk", "Deploy production", "Deploy staging", "Old news", "Shared plan"]],
    ["-title", ["Shared plan", "Old news", "Deploy staging", "Deploy production", "Buy milk", "ask Ada"]],
    [
      "priority,title",
      ["Buy milk", "Old news", "ask Ada", "Deploy staging", "Deploy production", "Shared plan"],
    ],
    [
      "-priority,created_at",
      ["Deploy production", "Shared plan", "Deploy staging", "ask Ada", "Buy milk", "Old news"],
    ],
    [
      "status,-title",
      ["Shared plan", "Deploy staging", "Buy milk", "ask Ada", "Deploy production", "Old news"],
    ],
    [
      "due_date,-created_at",
      ["Old news", "Buy milk", "Deploy staging", "Deploy production", "Shared plan", "ask Ada"],
    ],
    [
      "-due_date,title",
      ["ask Ada", "Shared plan", "Deploy production", "Deploy staging", "Buy milk", "Old news"],
    ],
  ])("sort=%s", async (sort, order) => {
    expect(await titles(`sort=${sort}`)).toEqual(order);
  });

  test("newest first where nothing is said; the best match first where something is searched for", async () => {
    expect((await titles("limit=100"))[0]).toBe("Shared plan");
    // A title weighs more than a description.
    for (const query of ["q=buy", "q=buy&sort=-rank", "q=buy&sort=-rank,title"])
      expect(await titles(query)).toEqual(["Buy milk", "Deploy staging"]);
    expect(await titles("q=buy&sort=rank")).toEqual(["Deploy staging", "Buy milk"]);
  });

  test.each([
    "priority=huge",
    "priority=",
    "priority=low,",
    "assigned_to=ada",
    "assigned_to=",
    "assigned_to=me,none",
    "created_by=me",
    "category_id=errands",
    "project_id=shared",
    "project_id=me",
    "due_date_from=2030-01-31",
    "due_date_to=tomorrow",
    "due_date_to=2030-02-30T00:00:00Z",
    "updated_since=",
    "overdue=maybe",
    "include_deleted=2",
    "q=",
    "q=%20",
    `q=${"x".repeat(201)}`,
    "sort=",
    "sort=name",
    "sort=Title",
    "sort=--title",
    "sort=title,",
    "sort=title,-title",
    "sort=id",
    "sort=rank",
    "sort=priority,-rank",
    "limit=0",
    "limit=101",
    "limit=1.5",
    "offset=-1",
    "offset=x",
  ])("?%s is 422", async (query) => {
    for (const path of ["/tasks", `/projects/${shared.id}/tasks`]) {
      if (path !== "/tasks" && query.startsWith("project_id")) continue;
      expectProblem(await list(query, path), 422, "validation-failed", [`?${query.split("=")[0]}`]);
    }
  });

  test("all that is wrong is told at once", async () => {
    const answer = await list("limit=101&sort=name&overdue=maybe");
    expect(answer.body.errors.map(({ pointer }: Wire): string => pointer).sort()).toEqual([
      "?limit",
      "?overdue",
      "?sort",
    ]);
  });

  test("past the end there is nothing, and the right total, also of a search", async () => {
    for (const [query, total] of [
      ["offset=6", 6],
      ["offset=10000", 6],
      ["q=deploy&offset=2", 2],
      ["assigned_to=me&offset=1", 1],
    ] as const) {
      const { body } = await list(query);
      expect([body.items, body.total, body.next_cursor]).toEqual([[], total, null]);
    }
  });
});
