import { afterAll, beforeAll, beforeEach, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { type Cast, deactivate, makeCast, makeProject, personWithRole } from "../support/cast.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem, ID, TIMESTAMP } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let people: Cast;
let owner: Person;
let manager: Person;
let member: Person;
let viewer: Person;
let stranger: Person;

const SLUG = /^[a-z0-9]+(?:-[a-z0-9]+)*$/;
const NO_TASKS = { pending: 0, in_progress: 0, completed: 0, cancelled: 0, archived: 0 };

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  people = await makeCast(node, db);
  ({ owner, manager, member, viewer, stranger } = people);
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

const create = (body: object, who = owner): Promise<Answer> => who.api.post("/projects", body);

const team = (): Promise<Wire> => makeProject(people);

/** Who is what, in the order in which they came. */
const rolesIn = async (project: string, as = owner): Promise<[id: string, role: string][]> =>
  (await as.api.must("GET", `/projects/${project}/members`)).items.map(({ user_id, role }: Wire) => [
    user_id,
    role,
  ]);

describe("POST /projects", () => {
  test("answers 201, where it is, and the project, owned by its maker", async () => {
    const { status, headers, body } = await create({
      name: "  Launch the Rocket! ",
      description: "To the moon",
    });
    expect(status).toBe(201);
    expect(headers.get("location")).toBe(`/projects/${body.id}`);
    expect(body).toEqual({
      id: expect.stringMatching(ID),
      slug: "launch-the-rocket",
      name: "Launch the Rocket!",
      description: "To the moon",
      status: "active",
      owner_id: owner.id,
      role: "owner",
      task_counts: expect.any(Object),
      version: 1,
      created_at: expect.stringMatching(TIMESTAMP),
      updated_at: body.created_at,
    });
  });

  test("answers what GET answers", async () => {
    const { body } = await create({ name: "Same" });
    expect((await owner.api.get(`/projects/${body.id}`)).body).toEqual(body);
  });

  test("a description is optional and may be null", async () => {
    expect((await create({ name: "x" })).body.description).toBeNull();
    expect((await create({ name: "x", description: null })).body.description).toBeNull();
  });

  test("a slug may be given", async () => {
    const { body } = await create({ name: "Whatever", slug: "my-own-slug-2" });
    expect(body.slug).toBe("my-own-slug-2");
    expect((await owner.api.get("/projects/my-own-slug-2")).body.id).toBe(body.id);
  });

  test("a slug that is taken is 409, whoever has it", async () => {
    await create({ name: "x", slug: "taken" });
    for (const who of [owner, stranger])
      expectProblem(await create({ name: "y", slug: "taken" }, who), 409, "already-exists", ["#/slug"]);
  });

  test("the same name gets another slug, also ten times at once", async () => {
    const answers = await Promise.all(upTo(10).map(() => create({ name: "Popular" })));
    expect(tally(answers)).toEqual({ 201: 10 });
    const slugs = answers.map(({ body }): string => body.slug);
    expect(new Set(slugs).size).toBe(10);
    for (const slug of slugs) expect(slug).toMatch(/^popular(-[a-z0-9]+)?$/);
  });

  test.each([
    ["of letters that no slug has", "日本語"],
    ["of symbols", "!!!"],
    ["that is a UUID", "01a1fd00-bd86-77b7-82a3-da440c274cf3"],
    ["with a space where its slug is cut", `${"a".repeat(59)} bcd`],
    ["of 100 characters", "x".repeat(100)],
  ])("a name %s gets a slug as it may be given, by which the project is found", async (_, name) => {
    const { status, body } = await create({ name });
    expect([status, body.name]).toEqual([201, name]);
    expect(body.slug).toMatch(SLUG);
    expect((await owner.api.get(`/projects/${body.slug}`)).body.id).toBe(body.id);
  });

  test("a name may have 100 characters, whatever they take in UTF-16", async () => {
    expect((await create({ name: "🐘".repeat(100) })).status).toBe(201);
  });

  test.each<[field: string, what: string, value: unknown]>([
    ["name", "missing", undefined],
    ["name", "null", null],
    ["name", "empty", ""],
    ["name", "blank", " \t "],
    ["name", "of 101 characters", "x".repeat(101)],
    ["name", "a number", 1],
    ["description", "of 10,001 characters", "x".repeat(10_001)],
    ["description", "a list", []],
    ["slug", "null", null],
    ["slug", "of 65 characters", "a".repeat(65)],
    ["slug", "with capitals", "Launch"],
    ["slug", "with a slash", "a/b"],
    ["slug", "ending in a dash", "launch-"],
    ["slug", "with two dashes", "a--b"],
    ["slug", "like a UUID", "01a1fd00-bd86-77b7-82a3-da440c274cf3"],
    ["slug", "like a UUID v4", "0b0e7a06-7b2c-4d8e-9d0a-3f1f0f6f8c11"],
    ["owner_id", "set", "01a1fd00-bd86-77b7-82a3-da440c274cf3"],
    ["role", "set", "owner"],
    ["status", "set", "archived"],
  ])("%s %s is 422", async (field, _, value) => {
    expectProblem(await create({ name: "x", [field]: value }), 422, "validation-failed", [`#/${field}`]);
  });
});

describe("GET /projects", () => {
  let ada: Person;
  let names: string[];

  beforeAll(async () => {
    ada = await node.api.person("ada");
    for (const name of ["One", "Two", "Three"]) await ada.api.must("POST", "/projects", { name });
    const shared = await owner.api.must("POST", "/projects", { name: "Shared" });
    await owner.api.must("POST", `/projects/${shared.id}/members`, { user_id: ada.id, role: "viewer" });
    await owner.api.must("POST", "/projects", { name: "Hidden" });
    names = ["Shared", "Three", "Two", "One"];
  });
  const list = (query = ""): Promise<Answer> => ada.api.get(`/projects${query}`);

  test("lists the caller's own, newest first, and no others", async () => {
    const { status, body } = await list();
    expect(status).toBe(200);
    expect(body.items.map(({ name }: Wire) => name)).toEqual(names);
    expect(body).toMatchObject({ limit: 20, offset: 0, total: 4 });
  });

  test("an item is minimal and says the caller's role", async () => {
    const [shared, mine] = (await list()).body.items;
    expect(mine).toEqual({
      id: expect.stringMatching(ID),
      slug: expect.stringMatching(SLUG),
      name: "Three",
      status: "active",
      owner_id: ada.id,
      role: "owner",
      version: 1,
      created_at: expect.stringMatching(TIMESTAMP),
      updated_at: expect.stringMatching(TIMESTAMP),
    });
    expect(shared).toMatchObject({ role: "viewer", owner_id: owner.id });
  });

  test("limit and offset cut it, and total stays", async () => {
    const page = (await list("?limit=2&offset=1")).body;
    expect(page.items.map(({ name }: Wire) => name)).toEqual(names.slice(1, 3));
    expect(page).toMatchObject({ limit: 2, offset: 1, total: 4 });
    expect((await list("?limit=100")).body).toMatchObject({ limit: 100, total: 4 });
  });

  test.each([4, 5, 10_000])("offset %i is past the end: no items, the right total", async (offset) => {
    expect((await list(`?offset=${offset}`)).body).toMatchObject({ items: [], offset, total: 4 });
  });

  test("somebody without projects has none", async () => {
    const nobody = await node.api.person("nobody");
    expect((await nobody.api.get("/projects")).body).toMatchObject({ items: [], total: 0 });
  });

  test.each(["limit=101", "limit=0", "offset=-1"])("?%s is 422", async (query) => {
    expectProblem(await list(`?${query}`), 422, "validation-failed", [`?${query.split("=")[0]}`]);
  });

  test("global managers and admins see all of them", async () => {
    const { rows } = await db.query<{ count: number }>("SELECT count(*)::int FROM projects.projects");
    for (const role of ["manager", "admin"] as const) {
      const person = await personWithRole(node, db, role);
      const { total, items } = (await person.api.get("/projects?limit=1")).body;
      expect([total, items[0].role]).toEqual([rows[0]?.count, null]);
    }
  });

  test("a global manager sees at once what becomes of a project that they are no member of", async () => {
    const { api } = await personWithRole(node, db, "manager");
    const newest = async () => (await api.must("GET", "/projects?limit=1")).items[0];
    const { id } = (await create({ name: "Draft" })).body;
    expect((await newest()).name).toBe("Draft");
    await owner.api.must("PATCH", `/projects/${id}`, { name: "Launch" });
    expect((await newest()).name).toBe("Launch");
    await owner.api.must("DELETE", `/projects/${id}`);
    expect((await newest()).id).not.toBe(id);
  });
});

describe("GET /projects/{project}", () => {
  test("by id, by ID and by slug", async () => {
    const { id, slug } = (await create({ name: "Findable" })).body;
    for (const key of [id, id.toUpperCase(), slug])
      expect((await owner.api.get(`/projects/${key}`)).body).toMatchObject({ id, slug });
  });

  test("counts the tasks by status, deleted ones left out", async () => {
    const { id } = (await create({ name: "Counted" })).body;
    for (const status of ["pending", "pending", "pending", "completed"])
      await owner.api.must("POST", `/projects/${id}/tasks`, { title: "x", status });
    const gone = await owner.api.must("POST", `/projects/${id}/tasks`, { title: "x" });
    await owner.api.must("DELETE", `/tasks/${gone.id}`);
    const { body } = await owner.api.get(`/projects/${id}`);
    expect(body).toMatchObject({ role: "owner", task_counts: { ...NO_TASKS, pending: 3, completed: 1 } });
  });

  test("every member reads it, with their own role", async () => {
    const { id } = await team();
    const roles = [];
    for (const who of [owner, manager, member, viewer])
      roles.push((await who.api.get(`/projects/${id}`)).body.role);
    expect(roles).toEqual(["owner", "manager", "member", "viewer"]);
  });
});

describe("a stranger", () => {
  test("can't tell a project from one that isn't there, on any route", async () => {
    const project = await team();
    const routes = (key: string): [method: string, path: string, body?: object][] => [
      ["GET", `/projects/${key}`],
      ["GET", `/projects/${key}/members`],
      ["GET", `/projects/${key}/tasks`],
      ["POST", `/projects/${key}/tasks`, { title: "x" }],
      ["POST", `/projects/${key}/members`, { user_id: stranger.id, role: "owner" }],
      ["PATCH", `/projects/${key}/members/${viewer.id}`, { role: "member" }],
      ["PATCH", `/projects/${key}/members/${stranger.id}`, { role: "owner" }],
      ["DELETE", `/projects/${key}/members/${viewer.id}`],
      ["DELETE", `/projects/${key}/members/${stranger.id}`],
    ];
    for (const key of [project.id, project.slug, owner.id, "no-such-project"])
      for (const [method, path, body] of routes(key as string))
        expectProblem(await stranger.api.request(method, path, body), 404, "not-found");
    expect(await rolesIn(project.id)).toHaveLength(4);
  });
});

describe("members", () => {
  let project: Wire;
  let path: string;

  beforeEach(async () => {
    project = await team();
    path = `/projects/${project.id}/members`;
  });
  const add = (who: Person, user_id: string, role = "viewer"): Promise<Answer> =>
    who.api.post(path, { user_id, role });
  const change = (who: Person, user: Person, role: string): Promise<Answer> =>
    who.api.patch(`${path}/${user.id}`, { role });
  const remove = (who: Person, user: Person): Promise<Answer> => who.api.delete(`${path}/${user.id}`);

  test("are listed to every member, longest first, as people and not as accounts", async () => {
    const { status, body } = await viewer.api.get(path);
    expect(status).toBe(200);
    expect(body).toMatchObject({ limit: 20, offset: 0, total: 4 });
    expect(body.items.map(({ role }: Wire) => role)).toEqual(["owner", "manager", "member", "viewer"]);
    expect(body.items[0]).toEqual({
      user_id: owner.id,
      username: owner.username,
      first_name: null,
      last_name: null,
      role: "owner",
      created_at: expect.stringMatching(TIMESTAMP),
    });
  });

  test("are listed in pages", async () => {
    const { body } = await owner.api.get(`${path}?limit=2&offset=3`);
    expect(body.items.map(({ role }: Wire) => role)).toEqual(["viewer"]);
    expect(body).toMatchObject({ limit: 2, offset: 3, total: 4 });
    expect((await owner.api.get(`${path}?offset=4`)).body).toMatchObject({ items: [], total: 4 });
    expectProblem(await owner.api.get(`${path}?limit=101`), 422, "validation-failed", ["?limit"]);
  });

  test("are added by owners and managers: 201, Location, and they see the project", async () => {
    for (const [who, role] of [
      [owner, "owner"],
      [manager, "manager"],
    ] as const) {
      const newcomer = await node.api.person("newcomer");
      const answer = await add(who, newcomer.id, role);
      expect(answer.status).toBe(201);
      expect(answer.headers.get("location")).toBe(`${path}/${newcomer.id}`);
      expect(answer.body).toEqual({
        user_id: newcomer.id,
        username: newcomer.username,
        first_name: null,
        last_name: null,
        role,
        created_at: expect.stringMatching(TIMESTAMP),
      });
      expect((await newcomer.api.get(`/projects/${project.slug}`)).body.role).toBe(role);
    }
  });

  test("who is one already is 409, with any role, added twice at once too", async () => {
    for (const role of ["viewer", "owner"]) expect((await add(owner, viewer.id, role)).status).toBe(409);
    const answers = await Promise.all(upTo(5).map(() => add(owner, stranger.id)));
    expect(tally(answers)).toEqual({ 201: 1, 409: 4 });
    expect(await rolesIn(project.id)).toHaveLength(5);
    const log = await readStream(db, `project:${project.id}`);
    expect(log.filter(({ data }) => data.member.user_id === stranger.id)).toHaveLength(1);
  });

  test("nobody and closed accounts can't be added: 422", async () => {
    const closed = await node.api.person("closed");
    await deactivate(db, closed);
    for (const id of [project.id, closed.id])
      expectProblem(await add(owner, id), 422, "validation-failed", ["#/user_id"]);
  });

  test.each<[body: object, pointer: string]>([
    [{ role: "viewer" }, "#/user_id"],
    [{ user_id: "ada", role: "viewer" }, "#/user_id"],
    [{ user_id: "01a1fd00-bd86-77b7-82a3-da440c274cf3" }, "#/role"],
    [{ user_id: "01a1fd00-bd86-77b7-82a3-da440c274cf3", role: "admin" }, "#/role"],
    [{ user_id: "01a1fd00-bd86-77b7-82a3-da440c274cf3", role: null }, "#/role"],
    [{ user_id: "01a1fd00-bd86-77b7-82a3-da440c274cf3", role: "viewer", owner: true }, "#/owner"],
  ])("%j is 422", async (body, pointer) => {
    expectProblem(await owner.api.post(path, body), 422, "validation-failed", [pointer]);
  });

  test("viewers and members add, change and remove nobody: 403", async () => {
    for (const who of [viewer, member]) {
      expectProblem(await add(who, stranger.id), 403, "forbidden");
      expectProblem(await change(who, viewer, "member"), 403, "forbidden");
      expectProblem(await change(who, who, "owner"), 403, "forbidden");
      expectProblem(await remove(who, manager), 403, "forbidden");
    }
    expect(await rolesIn(project.id)).toHaveLength(4);
  });

  test("a manager neither makes nor touches an owner: 403", async () => {
    expectProblem(await add(manager, stranger.id, "owner"), 403, "forbidden");
    expectProblem(await change(manager, member, "owner"), 403, "forbidden");
    expectProblem(await change(manager, manager, "owner"), 403, "forbidden");
    expectProblem(await change(manager, owner, "viewer"), 403, "forbidden");
    expectProblem(await remove(manager, owner), 403, "forbidden");
    expect((await change(manager, viewer, "manager")).body).toMatchObject({
      user_id: viewer.id,
      role: "manager",
    });
    expect((await remove(manager, viewer)).status).toBe(204);
  });

  test("a change answers 200, holds at once, and keeps the day of joining", async () => {
    const before = (await owner.api.get(path)).body.items[3];
    const { status, body } = await change(owner, viewer, "member");
    expect(status).toBe(200);
    expect(body).toEqual({ ...before, role: "member" });
    expect((await viewer.api.post(`/projects/${project.id}/tasks`, { title: "x" })).status).toBe(201);
  });

  test("naming the present role changes nothing and says nothing", async () => {
    const before = await readStream(db, `project:${project.id}`);
    expect((await change(owner, viewer, "viewer")).status).toBe(200);
    expect(await readStream(db, `project:${project.id}`)).toEqual(before);
  });

  test("who is removed sees the project no more, and may come back", async () => {
    expect((await remove(owner, viewer)).status).toBe(204);
    expectProblem(await viewer.api.get(`/projects/${project.id}`), 404, "not-found");
    expectProblem(await remove(owner, viewer), 404, "not-found");
    expect((await add(owner, viewer.id, "member")).status).toBe(201);
    expect((await viewer.api.get(`/projects/${project.id}`)).body.role).toBe("member");
  });

  test("who isn't one can't be changed or removed: 404", async () => {
    for (const user of [stranger.id, project.id, "nothing"]) {
      expectProblem(await owner.api.patch(`${path}/${user}`, { role: "viewer" }), 404, "not-found");
      expectProblem(await owner.api.delete(`${path}/${user}`), 404, "not-found");
    }
  });

  test("anyone may leave", async () => {
    for (const who of [viewer, member, manager]) expect((await remove(who, who)).status).toBe(204);
    expect(await rolesIn(project.id)).toEqual([[owner.id, "owner"]]);
  });

  test("the last owner neither leaves nor steps down: 409", async () => {
    expectProblem(await remove(owner, owner), 409, "conflict");
    expectProblem(await change(owner, owner, "manager"), 409, "conflict");
    expect((await rolesIn(project.id))[0]).toEqual([owner.id, "owner"]);
  });

  test("with a second owner, the first may step down", async () => {
    await change(owner, manager, "owner");
    expect((await change(owner, owner, "viewer")).status).toBe(200);
    expectProblem(await change(owner, owner, "owner"), 403, "forbidden");
  });

  test("owner_id names an owner who is there, also when the first one has left", async () => {
    await change(owner, manager, "owner");
    await remove(owner, owner);
    expect((await manager.api.get(`/projects/${project.id}`)).body.owner_id).toBe(manager.id);
  });

  /** Five projects with two owners each: a race has to be run more than once. */
  const race = async (
    run: (path: string) => Promise<Answer>[],
  ): Promise<[statuses: number[], owners: number][]> => {
    const contested = upTo(5).map(async (): Promise<string> => {
      const { id } = await owner.api.must("POST", "/projects", { name: "Contested" });
      await owner.api.must("POST", `/projects/${id}/members`, { user_id: manager.id, role: "owner" });
      return id;
    });
    const ids = await Promise.all(contested);
    const results = ids.map(async (id): Promise<[number[], number]> => {
      const answers = await Promise.all(run(`/projects/${id}/members`));
      const owners = "SELECT FROM projects.members WHERE project_id = $1 AND role = 'owner'";
      return [answers.map(({ status }) => status).sort(), (await db.query(owners, [id])).rows.length];
    });
    return Promise.all(results);
  };

  test("of two owners who leave at once, one stays", async () => {
    const results = await race((at) => [owner, manager].map((who) => who.api.delete(`${at}/${who.id}`)));
    expect(results).toEqual(upTo(5).map(() => [[204, 409], 1]));
  });

  test("of two owners who demote each other at once, one stays", async () => {
    const results = await race((at) => [
      owner.api.patch(`${at}/${manager.id}`, { role: "viewer" }),
      manager.api.patch(`${at}/${owner.id}`, { role: "viewer" }),
    ]);
    expect(results).toEqual(upTo(5).map(() => [[200, 403], 1]));
  });

  test("an archived project takes none: 409", async () => {
    await db.query("UPDATE projects.projects SET status = 'archived' WHERE id = $1", [project.id]);
    expectProblem(await add(owner, stranger.id), 409, "project-archived");
    expectProblem(await change(owner, viewer, "member"), 409, "project-archived");
    expectProblem(await remove(owner, viewer), 409, "project-archived");
    expect((await viewer.api.get(path)).status).toBe(200);
  });

  test("a global manager reads them and changes none; an admin does all that an owner does", async () => {
    const [boss, admin] = [
      await personWithRole(node, db, "manager"),
      await personWithRole(node, db, "admin"),
    ];
    expect((await boss.api.get(path)).status).toBe(200);
    expectProblem(await add(boss, stranger.id), 403, "forbidden");
    expect((await add(admin, stranger.id, "owner")).status).toBe(201);
    expect((await remove(admin, owner)).status).toBe(204);
  });
});
