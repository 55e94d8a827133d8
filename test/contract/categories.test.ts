import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import { until } from "../../local/until.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem, ID, TIMESTAMP } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let ada: Person;
let ben: Person;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  [ada, ben] = (await Promise.all(["ada", "ben"].map((name) => node.api.person(name)))) as [Person, Person];
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

/** One that nobody has yet. */
const label = (name = newId()): object => ({ name, color: "#1e90ff" });
const create = (body: object, who = ada): Promise<Answer> => who.api.post("/categories", body);
const made = async (name?: string, who = ada): Promise<Wire> => (await create(label(name), who)).body;
const patch = (id: string, body: object, who = ada): Promise<Answer> =>
  who.api.patch(`/categories/${id}`, body);
const remove = (id: string, who = ada): Promise<Answer> => who.api.delete(`/categories/${id}`);
const namesOf = async (who: Person, query = ""): Promise<string[]> =>
  (await who.api.must("GET", `/categories${query}`)).items.map(({ name }: Wire): string => name);

describe("POST /categories", () => {
  test("answers 201, where it is, and the category: name trimmed, colour in capitals", async () => {
    const { status, headers, body } = await create({ name: "  House work ", color: "#1e90ff" });
    expect(status).toBe(201);
    expect(headers.get("location")).toBe(`/categories/${body.id}`);
    expect(body).toEqual({
      id: expect.stringMatching(ID),
      name: "House work",
      color: "#1E90FF",
      version: 1,
      created_at: expect.stringMatching(TIMESTAMP),
      updated_at: body.created_at,
    });
  });

  test("a name that one has is 409 in any case of its letters; another may have it", async () => {
    const name = newId().toUpperCase();
    await made(name);
    for (const same of [name, name.toLowerCase(), ` ${name} `])
      expectProblem(await create(label(same)), 409, "already-exists", ["#/name"]);
    expect((await create(label(name), ben)).status).toBe(201);
  });

  test("of ten of one name at once, one is made", async () => {
    const name = newId();
    const answers = await Promise.all(upTo(10).map(() => create(label(name))));
    expect(tally(answers)).toEqual({ 201: 1, 409: 9 });
  });

  test("a name may have 50 characters", async () => {
    expect((await create(label("🐘".repeat(50)))).status).toBe(201);
  });

  test.each<[field: string, what: string, value: unknown]>([
    ["name", "missing", undefined],
    ["name", "null", null],
    ["name", "empty", ""],
    ["name", "blank", " \t"],
    ["name", "of 51 characters", "x".repeat(51)],
    ["name", "a number", 1],
    ["name", "with U+0000", "a\0"],
    ["color", "missing", undefined],
    ["color", "null", null],
    ["color", "a word", "red"],
    ["color", "of three digits", "#123"],
    ["color", "of seven digits", "#1234567"],
    ["color", "without its #", "123456"],
    ["color", "not of hexadecimal digits", "#12345G"],
    ["color", "with a line end", "#123456\n"],
    ["user_id", "set", "01a1fd00-bd86-77b7-82a3-da440c274cf3"],
    ["version", "set", 7],
  ])("%s %s is 422", async (field, _, value) => {
    expectProblem(await create({ ...label(), [field]: value }), 422, "validation-failed", [`#/${field}`]);
  });
});

describe("GET /categories", () => {
  test("lists one's own, by name, whatever the case of the letters", async () => {
    const eve = await node.api.person("eve");
    for (const name of ["b", "A", "C"]) await made(name, eve);
    const { body } = await eve.api.get("/categories");
    expect(body).toMatchObject({ limit: 20, offset: 0, total: 3, next_cursor: null });
    expect(await namesOf(eve)).toEqual(["A", "b", "C"]);
    expect(await namesOf(eve, "?sort=-name")).toEqual(["C", "b", "A"]);
    expect(await namesOf(eve, "?sort=created_at")).toEqual(["b", "A", "C"]);
    expect(await namesOf(eve, "?limit=1&offset=1")).toEqual(["b"]);
    expect((await eve.api.get("/categories?offset=3")).body).toMatchObject({ items: [], total: 3 });
    expect(await namesOf(await node.api.person("nobody"))).toEqual([]);
  });

  test.each(["sort=color", "limit=101", "offset=-1", "name=x"])("?%s is 422", async (query) => {
    const pointers = [`?${query.split("=")[0]}`];
    expectProblem(await ada.api.get(`/categories?${query}`), 422, "validation-failed", pointers);
  });
});

describe("PATCH /categories/{id}", () => {
  test("sets what is named, and leaves the rest", async () => {
    const category = await made();
    const recoloured = (await patch(category.id, { color: "#abcdef" })).body;
    expect(recoloured).toEqual({
      ...category,
      color: "#ABCDEF",
      version: 2,
      updated_at: recoloured.updated_at,
    });
    const name = newId();
    const { status, body } = await patch(category.id, { name: ` ${name}` });
    expect([status, body]).toEqual([200, { ...recoloured, name, version: 3, updated_at: body.updated_at }]);
    expect(await namesOf(ada, "?limit=100")).toContain(name);
  });

  test("what is so already changes nothing", async () => {
    const category = await made();
    for (const body of [{}, { name: category.name }, { color: "#1e90ff" }])
      expect((await patch(category.id, body)).body).toEqual(category);
  });

  test("to a name that another of one's own has is 409; to other letters of its own is not", async () => {
    const [one, two] = [await made("Alpha"), await made("Beta")];
    expectProblem(await patch(two.id, { name: "ALPHA" }), 409, "already-exists", ["#/name"]);
    expect((await patch(one.id, { name: "ALPHA" })).body).toMatchObject({ name: "ALPHA", version: 2 });
    expect((await patch(two.id, {})).body).toEqual(two);
  });

  test.each<[field: string, value: unknown]>([
    ["name", ""],
    ["name", null],
    ["color", null],
    ["color", "blue"],
    ["user_id", newId()],
  ])("%s %j is 422", async (field, value) => {
    const { id } = await made();
    expectProblem(await patch(id, { [field]: value }), 422, "validation-failed", [`#/${field}`]);
  });

  test("another's is 404, and so is what isn't there", async () => {
    const { id } = await made();
    for (const [who, one] of [
      [ben, id],
      [ada, newId()],
      [ada, "x"],
    ] as const) {
      expectProblem(await patch(one, { color: "#000000" }, who), 404, "not-found");
      expectProblem(await remove(one, who), 404, "not-found");
    }
  });

  test("is told to nobody: no event", async () => {
    const eve = await node.api.person("eve");
    const { id } = await made("x", eve);
    await patch(id, { name: "y" }, eve);
    await remove(id, eve);
    expect(await readStream(db, `user:${eve.id}`)).toEqual([]);
  });
});

describe("DELETE /categories/{id}", () => {
  test("204, then 404, and its name is free", async () => {
    const { id, name } = await made();
    expect((await remove(id)).status).toBe(204);
    expectProblem(await remove(id), 404, "not-found");
    expect((await create(label(name))).status).toBe(201);
  });

  test("its tasks go on without, each with a version and an event", async () => {
    const eve = await node.api.person("eve");
    const project = await eve.api.must("POST", "/projects", { name: "Launch" });
    const [gone, kept] = [await made("gone", eve), await made("kept", eve)];
    const make = (fields: object): Promise<Wire> => eve.api.must("POST", "/tasks", { title: "x", ...fields });
    const personal = await make({ category_id: gone.id });
    const shared = await make({ category_id: gone.id, project_id: project.id });
    const other = await make({ category_id: kept.id });
    const deleted = await make({ category_id: gone.id });
    await eve.api.must("DELETE", `/tasks/${deleted.id}`);

    expect((await remove(gone.id, eve)).status).toBe(204);
    for (const task of [personal, shared]) {
      const { body } = await eve.api.get(`/tasks/${task.id}`);
      expect(body).toMatchObject({ category_id: null, category: null, version: 2 });
    }
    expect((await eve.api.get(`/tasks/${other.id}`)).body).toMatchObject({
      category_id: kept.id,
      version: 1,
    });
    const back = await eve.api.must("POST", `/tasks/${deleted.id}/restore`);
    expect(back.category_id).toBeNull();

    const changes = { category_id: { old: gone.id, new: null } };
    for (const [stream, task] of [
      [`user:${eve.id}`, personal],
      [`project:${project.id}`, shared],
    ] as const) {
      const log = (await readStream(db, stream)).filter(({ data }) => data.task?.id === task.id);
      expect(log.slice(1)).toMatchObject([{ type: "task_updated", data: { changes, task: { version: 2 } } }]);
    }
  });

  test("also those in archived projects, and those where one is no member any more", async () => {
    const eve = await node.api.person("eve");
    const label = await made("x", eve);
    const old = await eve.api.must("POST", "/projects", { name: "Old" });
    const left = await ada.api.must("POST", "/projects", { name: "Left" });
    await ada.api.must("POST", `/projects/${left.id}/members`, { user_id: eve.id, role: "member" });
    const ids: string[] = [];
    for (const project_id of [old.id, left.id])
      ids.push((await eve.api.must("POST", "/tasks", { title: "x", project_id, category_id: label.id })).id);
    await eve.api.must("PATCH", `/projects/${old.id}`, { status: "archived" });
    await eve.api.must("DELETE", `/projects/${left.id}/members/${eve.id}`);
    expect((await remove(label.id, eve)).status).toBe(204);
    expect((await eve.api.get(`/tasks/${ids[0]}`)).body.category_id).toBeNull();
    expect((await ada.api.get(`/tasks/${ids[1]}`)).body.category_id).toBeNull();
  });

  test("however many they are", async () => {
    const eve = await node.api.person("eve");
    const { id } = await made("x", eve);
    for (const count of [100, 30])
      await eve.api.must("POST", "/tasks/bulk", {
        operations: upTo(count).map((n) => ({ op: "create", title: `${n}`, category_id: id })),
      });
    expect((await remove(id, eve)).status).toBe(204);
    expect((await eve.api.must("GET", "/tasks?limit=1")).total).toBe(130);
    // On a machine that is slow at that moment a job does the rest.
    const rest = async () =>
      (await db.query("SELECT FROM tasks.tasks WHERE category_id = $1", [id])).rowCount;
    expect(await until(async () => (await rest()) === 0, 10_000)).toBe(true);
    const log = await readStream(db, `user:${eve.id}`);
    expect(log.filter(({ type }) => type === "task_updated")).toHaveLength(130);
  });

  test("while tasks are being given it, no task is left with one that isn't there", async () => {
    const eve = await node.api.person("eve");
    const { id } = await made("x", eve);
    const [gone, ...given] = await Promise.all([
      remove(id, eve),
      ...upTo(10).map(() => eve.api.post("/tasks", { title: "x", category_id: id })),
    ]);
    expect(gone.status).toBe(204);
    for (const answer of given)
      if (answer.status !== 201) expectProblem(answer, 422, "validation-failed", ["#/category_id"]);
    const { items } = await eve.api.must("GET", "/tasks");
    expect(items.filter(({ category_id }: Wire) => category_id !== null)).toEqual([]);
  });
});
