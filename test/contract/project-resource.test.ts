import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { ACTORS, type Cast, makeCast, makeProject } from "../support/cast.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let people: Cast;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  people = await makeCast(node, db);
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

const alone = (fields: object = {}): Promise<Wire> =>
  people.owner.api.must("POST", "/projects", { name: "Launch", ...fields });
const team = (): Promise<Wire> => makeProject(people);
const path = ({ id }: Wire): string => `/projects/${id}`;
const put = (project: Wire, body: object, who = people.owner): Promise<Answer> =>
  who.api.put(path(project), body);
const patch = (project: Wire, body: object, who = people.owner): Promise<Answer> =>
  who.api.patch(path(project), body);
const remove = (project: Wire, who = people.owner): Promise<Answer> => who.api.delete(path(project));
const restore = (project: Wire, who = people.owner): Promise<Answer> =>
  who.api.post(`${path(project)}/restore`);
const read = (project: Wire): Promise<Wire> => people.owner.api.must("GET", path(project));
const archive = (project: Wire): Promise<Answer> => patch(project, { status: "archived" });
/** What came after the members were added. */
const told = async ({ id }: Wire): Promise<[type: string, changes: Wire][]> =>
  (await readStream(db, `project:${id}`))
    .filter(({ type }) => type !== "member_added")
    .map(({ type, data }) => [type, data.changes]);
const statuses = async (ask: (who: Person) => Promise<Answer>): Promise<Record<string, number>> => {
  const got: Record<string, number> = {};
  for (const name of ACTORS) got[name] = (await ask(people[name])).status;
  return got;
};

describe("PUT /projects/{project}", () => {
  test("sets everything; what is left out goes back to its default, but for the slug", async () => {
    const project = await alone({ description: "Old" });
    const slug = `s-${newId().slice(-12)}`;
    const fields = { name: "Rocket", description: "To the moon", slug };
    const full = await put(project, { ...fields, name: " Rocket ", status: "active" });
    expect([full.status, full.body]).toEqual([
      200,
      { ...project, ...fields, version: 2, updated_at: full.body.updated_at },
    ]);
    const bare = await put(project, { name: "Bare" });
    expect(bare.body).toEqual({
      ...full.body,
      name: "Bare",
      description: null,
      version: 3,
      updated_at: bare.body.updated_at,
    });
    expect(await read({ id: slug })).toEqual(bare.body);
    expect(await told(project)).toEqual([
      [
        "project_updated",
        {
          slug: { old: project.slug, new: slug },
          name: { old: "Launch", new: "Rocket" },
          description: { old: "Old", new: "To the moon" },
        },
      ],
      [
        "project_updated",
        { name: { old: "Rocket", new: "Bare" }, description: { old: "To the moon", new: null } },
      ],
    ]);
  });

  test("the status is active again unless it is named", async () => {
    const project = await alone();
    await archive(project);
    expect((await put(project, { name: "Launch" })).body).toMatchObject({ status: "active", version: 3 });
  });

  test("needs a name: 422", async () => {
    expectProblem(await put(await alone(), { description: "x" }), 422, "validation-failed", ["#/name"]);
  });
});

describe("PATCH /projects/{project}", () => {
  test("sets what is named and leaves the rest, by id and by slug", async () => {
    const project = await alone({ description: "Old" });
    const { status, body } = await people.owner.api.patch(`/projects/${project.slug}`, { name: "Rocket" });
    expect([status, body]).toEqual([
      200,
      { ...project, name: "Rocket", version: 2, updated_at: body.updated_at },
    ]);
    expect((await patch(project, { description: null })).body).toMatchObject({
      name: "Rocket",
      description: null,
      version: 3,
    });
    expect(await told(project)).toEqual([
      ["project_updated", { name: { old: "Launch", new: "Rocket" } }],
      ["project_updated", { description: { old: "Old", new: null } }],
    ]);
  });

  test("the event tells the project as it is for everybody, nobody's role in it", async () => {
    const project = await team();
    const { body } = await patch(project, { name: "Rocket" }, people.manager);
    const { role, task_counts: _counts, ...shared } = body;
    expect(role).toBe("manager");
    const [event] = (await readStream(db, `project:${project.id}`)).slice(-1);
    expect(event).toMatchObject({ type: "project_updated", seq: 5 });
    expect(event?.data.project).toEqual(shared);
  });

  test.each([{}, { name: " Launch" }, { status: "active" }, { description: null }])(
    "%j changes nothing: no version, no event",
    async (fields) => {
      const project = await alone();
      expect((await patch(project, fields)).body).toEqual(project);
      expect(await told(project)).toEqual([]);
    },
  );

  test("a slug that is taken is 409; the old one is free, and that of a deleted project", async () => {
    const [one, two, gone] = [await alone(), await alone(), await alone()];
    const { slug: taken } = one;
    expectProblem(await patch(two, { slug: taken }), 409, "already-exists", ["#/slug"]);
    expectProblem(await put(two, { name: "x", slug: taken }), 409, "already-exists", ["#/slug"]);
    await remove(gone);
    const stranger = await node.api.person("stranger");
    const theirs = await stranger.api.post("/projects", { name: "x", slug: gone.slug });
    expect([theirs.status, theirs.body.slug]).toEqual([201, gone.slug]);
    expectProblem(await patch(two, { slug: gone.slug }), 409, "already-exists", ["#/slug"]);
    expect(await read(two)).toEqual(two);
    expect((await patch(two, { slug: two.slug })).body.version).toBe(1);
    const slug = `s-${newId().slice(-12)}`;
    expect((await patch(two, { slug })).body.slug).toBe(slug);
    expectProblem(await people.owner.api.get(`/projects/${two.slug}`), 404, "not-found");
    expect((await patch(one, { slug: two.slug })).status).toBe(200);
  });

  test.each<[field: string, value: unknown]>([
    ["name", ""],
    ["name", null],
    ["name", "x".repeat(101)],
    ["description", "x".repeat(10_001)],
    ["slug", null],
    ["slug", "No Slug"],
    ["slug", "01a1fd00-bd86-77b7-82a3-da440c274cf3"],
    ["status", "deleted"],
    ["status", null],
    ["owner_id", newId()],
    ["version", 7],
    ["deleted_at", null],
  ])("%s %j is 422, and nothing of it is done", async (field, value) => {
    const project = await alone();
    const fields = { description: "half", [field]: value };
    expectProblem(await patch(project, fields), 422, "validation-failed", [`#/${field}`]);
    expectProblem(await put(project, { name: "x", ...fields }), 422, "validation-failed", [`#/${field}`]);
    expect(await read(project)).toEqual(project);
  });

  test("is for its managers and owners, and for admins", async () => {
    const project = await team();
    const expected = {
      owner: 200,
      manager: 200,
      member: 403,
      viewer: 403,
      stranger: 404,
      boss: 403,
      admin: 200,
    };
    expect(await statuses((who) => patch(project, { name: who.username }, who))).toEqual(expected);
    expect(await statuses((who) => put(project, { name: who.username }, who))).toEqual(expected);
    expectProblem(await patch(project, { name: "x" }, people.member), 403, "forbidden");
    expectProblem(await put({ id: newId() }, { name: "x" }), 404, "not-found");
  });

  test("ten at once are ten versions and ten events", async () => {
    const project = await alone();
    const answers = await Promise.all(upTo(10).map((n) => patch(project, { name: `${n}` })));
    expect(tally(answers)).toEqual({ 200: 10 });
    expect((await read(project)).version).toBe(11);
    expect(await told(project)).toHaveLength(10);
  });
});

describe("an archived project", () => {
  test("takes no writes: 409, whatever they are, and whoever makes them", async () => {
    const project = await team();
    const { id } = project;
    const { owner, manager, member, viewer, stranger } = people;
    const task = await owner.api.must("POST", "/tasks", { title: "x", project_id: id });
    const gone = await owner.api.must("POST", "/tasks", { title: "x", project_id: id });
    await owner.api.must("DELETE", `/tasks/${gone.id}`);
    const comment = await owner.api.must("POST", `/tasks/${task.id}/comments`, { body: "x" });
    const archived = (await archive(project)).body;
    expect(archived).toMatchObject({ status: "archived", version: 2 });
    const before = await readStream(db, `project:${id}`);

    const writes: [method: string, path: string, body?: object, who?: Person][] = [
      ["PUT", `/projects/${id}`, { name: "x", status: "archived" }],
      ["PATCH", `/projects/${id}`, { name: "x" }],
      ["PATCH", `/projects/${id}`, { slug: "another" }, manager],
      ["DELETE", `/projects/${id}`],
      ["POST", `/projects/${id}/members`, { user_id: stranger.id, role: "viewer" }],
      ["PATCH", `/projects/${id}/members/${viewer.id}`, { role: "member" }],
      ["DELETE", `/projects/${id}/members/${viewer.id}`],
      ["DELETE", `/projects/${id}/members/${viewer.id}`, undefined, viewer],
      ["POST", `/projects/${id}/tasks`, { title: "x" }],
      ["POST", "/tasks", { title: "x", project_id: id }, member],
      ["PUT", `/tasks/${task.id}`, { title: "y" }],
      ["PATCH", `/tasks/${task.id}`, { title: "y" }, member],
      ["DELETE", `/tasks/${task.id}`],
      ["POST", `/tasks/${gone.id}/restore`],
      ["POST", `/tasks/${task.id}/assign`, { assigned_to: member.id }],
      ["POST", `/tasks/${task.id}/transitions`, { to: "completed" }],
      ["POST", `/tasks/${task.id}/comments`, { body: "x" }, member],
      ["PATCH", `/tasks/${task.id}/comments/${comment.id}`, { body: "y" }],
      ["DELETE", `/tasks/${task.id}/comments/${comment.id}`],
      ["PATCH", `/tasks/${task.id}`, { title: "y" }, people.admin],
    ];
    for (const [method, route, body, who = owner] of writes)
      expectProblem(await who.api.request(method, route, body), 409, "project-archived");
    expect(await read(project)).toEqual(archived);
    expect(await readStream(db, `project:${id}`)).toEqual(before);
  });

  test("is read as before", async () => {
    const project = await team();
    const task = await people.owner.api.must("POST", "/tasks", { title: "x", project_id: project.id });
    await archive(project);
    for (const route of [
      path(project),
      `${path(project)}/tasks`,
      `${path(project)}/members`,
      `${path(project)}/events`,
      `/tasks/${task.id}`,
      `/tasks/${task.id}/comments`,
    ])
      expect((await people.viewer.api.get(route)).status).toBe(200);
  });

  test("is active again by its managers, with other changes at once if they like", async () => {
    const project = await team();
    await archive(project);
    for (const who of [people.member, people.viewer])
      expectProblem(await patch(project, { status: "active" }, who), 403, "forbidden");
    const { body } = await patch(project, { status: "active", name: "Again" }, people.manager);
    expect(body).toMatchObject({ status: "active", name: "Again", version: 3 });
    expect(await told(project)).toEqual([
      ["project_updated", { status: { old: "active", new: "archived" } }],
      [
        "project_updated",
        { name: { old: "Launch", new: "Again" }, status: { old: "archived", new: "active" } },
      ],
    ]);
    expect((await people.member.api.post(`${path(project)}/tasks`, { title: "x" })).status).toBe(201);
  });

  test("archived again it changes nothing", async () => {
    const project = await alone();
    const { body } = await archive(project);
    expect((await archive(project)).body).toEqual(body);
    expect(await told(project)).toHaveLength(1);
  });
});

describe("DELETE /projects/{project} and its restoration", () => {
  test("204, and it is gone for everybody, with all that is in it", async () => {
    const project = await team();
    const { owner, member, viewer, admin } = people;
    const task = await owner.api.must("POST", "/tasks", { title: "x", project_id: project.id });
    await owner.api.must("POST", `/tasks/${task.id}/assign`, { assigned_to: viewer.id });
    const own = await owner.api.must("POST", "/tasks", { title: "own" });
    await owner.api.must("POST", `/tasks/${task.id}/comments`, { body: "x" });
    expect((await remove(project)).status).toBe(204);
    for (const who of [owner, member, viewer, admin]) {
      for (const route of ["", "/tasks", "/members", "/events"])
        expectProblem(await who.api.get(`${path(project)}${route}`), 404, "not-found");
      for (const route of ["", "/comments"])
        expectProblem(await who.api.get(`/tasks/${task.id}${route}`), 404, "not-found");
      for (const query of ["", "&include_deleted=true", "&assigned_to=me", `&project_id=${project.id}`]) {
        const { items } = await who.api.must("GET", `/tasks?limit=100${query}`);
        expect(items.map(({ id }: Wire): string => id)).not.toContain(task.id);
      }
    }
    expect((await owner.api.get(`/tasks/${own.id}`)).status).toBe(200);
    expectProblem(await remove(project), 404, "not-found");
    expectProblem(await patch(project, { name: "x" }), 404, "not-found");
    expectProblem(await owner.api.patch(`/tasks/${task.id}`, { title: "x" }), 404, "not-found");
    expectProblem(await owner.api.post("/tasks", { title: "x", project_id: project.id }), 404, "not-found");
  });

  test("restored, it is as it was, two versions on; its members hear of it", async () => {
    const project = await team();
    const task = await people.owner.api.must("POST", "/tasks", { title: "x", project_id: project.id });
    const before = await read(project);
    await remove(project);
    const { status, body } = await restore(project);
    expect([status, body]).toEqual([200, { ...before, version: 3, updated_at: body.updated_at }]);
    expect(await read({ id: project.slug })).toEqual(body);
    expect((await people.viewer.api.get(`/tasks/${task.id}`)).body).toMatchObject(task);

    const log = (await readStream(db, `project:${project.id}`)).slice(-2);
    const { role: _role, task_counts: _counts, ...shared } = body;
    expect(log.map(({ type }) => type)).toEqual(["project_deleted", "project_restored"]);
    expect(log[0]?.data).toEqual({
      project: expect.objectContaining({ id: project.id, version: 2, deleted_at: expect.any(String) }),
    });
    expect(log[1]?.data).toEqual({ project: shared });
    for (const name of ["owner", "manager", "member", "viewer"] as const)
      expect((await readStream(db, `user:${people[name].id}`)).at(-1)).toMatchObject({
        type: "project_restored",
        data: { project: shared },
      });
    expect(await readStream(db, `user:${people.stranger.id}`)).toEqual([]);
  });

  test("restored while another has its slug, it comes back under the next free one, and tells it", async () => {
    const [first, second] = [await alone(), await alone()];
    const { slug } = first;
    await remove(first);
    const { owner } = people;
    const stranger = await node.api.person("stranger");
    const theirs = await stranger.api.must("POST", "/projects", { name: "x", slug });
    await patch(second, { slug: `${slug}-2` });
    const { status, body } = await restore(first);
    expect([status, body.id, body.slug]).toEqual([200, first.id, `${slug}-3`]);
    expect(await read({ id: body.slug })).toEqual(body);
    expect((await stranger.api.must("GET", `/projects/${slug}`)).id).toBe(theirs.id);
    expect((await readStream(db, `project:${first.id}`)).at(-1)).toMatchObject({
      type: "project_restored",
      data: { project: { slug: `${slug}-3` }, changes: { slug: { old: slug, new: `${slug}-3` } } },
    });
    expect((await readStream(db, `user:${owner.id}`)).at(-1)).toMatchObject({
      type: "project_restored",
      data: { project: { id: first.id, slug: `${slug}-3` } },
    });
  });

  test("by the slug that several deleted ones had it takes the id; others' don't count", async () => {
    const slug = `s-${newId().slice(-12)}`;
    const { owner } = people;
    const stranger = await node.api.person("stranger");
    const make = async (who: Person): Promise<Wire> => {
      const made = await who.api.must("POST", "/projects", { name: "x", slug });
      await who.api.must("DELETE", `/projects/${made.id}`);
      return made;
    };
    await make(stranger);
    const one = await make(owner);
    expect((await restore({ id: slug })).body.id).toBe(one.id);
    await remove(one);
    const two = await make(owner);
    expectProblem(await restore({ id: slug }), 409, "conflict");
    expect((await restore(two)).body).toMatchObject({ id: two.id, slug });
    expect((await restore({ id: slug })).body).toMatchObject({ id: one.id, slug: `${slug}-2` });
  });

  test("five that had one slug and are restored at once get one each", async () => {
    const slug = `s-${newId().slice(-12)}`;
    const gone: Wire[] = [];
    for (const _ of upTo(5)) {
      gone.push(await people.owner.api.must("POST", "/projects", { name: "x", slug }));
      await remove(gone.at(-1));
    }
    const answers = await Promise.all(gone.map((one) => restore(one)));
    expect(answers.map(({ body }): string => body.slug).sort()).toEqual(
      [slug, ...[2, 3, 4, 5].map((n) => `${slug}-${n}`)].sort(),
    );
  });

  test("both are for its owners, and for admins", async () => {
    const expected = { manager: 403, member: 403, viewer: 403, stranger: 404, boss: 403 };
    for (const who of [people.owner, people.admin]) {
      const project = await team();
      const others = async (ask: (one: Wire, other: Person) => Promise<Answer>): Promise<object> => {
        const got: Record<string, number> = {};
        for (const name of ["manager", "member", "viewer", "stranger", "boss"] as const)
          got[name] = (await ask(project, people[name])).status;
        return got;
      };
      expect(await others(remove)).toEqual(expected);
      expect((await remove(project, who)).status).toBe(204);
      expect(await others(restore)).toEqual(expected);
      expect((await restore(project, who)).status).toBe(200);
    }
  });

  test("what is not deleted, or never was, can't be restored: 404", async () => {
    for (const one of [await alone(), { id: newId() }, { id: "no-such-project" }])
      expectProblem(await restore(one), 404, "not-found");
  });

  test("what is about to be purged can't either", async () => {
    const project = await alone();
    await remove(project);
    const age = (days: number): Promise<unknown> =>
      db.query("UPDATE projects.projects SET deleted_at = now() - $2::interval WHERE id = $1", [
        project.id,
        `${days} days`,
      ]);
    const { RETENTION_DAYS: days } = node.config;
    await age(days + 1);
    expectProblem(await restore(project), 404, "not-found");
    await age(days - 1);
    expect((await restore(project)).status).toBe(200);
  });

  test("of ten deletions at once one does it; of ten restorations too", async () => {
    const project = await alone();
    expect(tally(await Promise.all(upTo(10).map(() => remove(project))))).toEqual({ 204: 1, 404: 9 });
    expect(tally(await Promise.all(upTo(10).map(() => restore(project))))).toEqual({ 200: 1, 404: 9 });
    expect((await told(project)).map(([type]) => type)).toEqual(["project_deleted", "project_restored"]);
  });
});

describe("GET /projects", () => {
  let ada: Person;
  beforeAll(async () => {
    ada = await node.api.person("ada");
    for (const name of ["alpha", "Beta 100%", "gamma_ray", "Delta", "Gone"])
      await ada.api.must("POST", "/projects", { name });
    const { items } = await ada.api.must("GET", "/projects?sort=created_at");
    await ada.api.must("PATCH", path(items[3]), { status: "archived" });
    await ada.api.must("DELETE", path(items[4]));
    // Others' of the same names, and one of them deleted in which Ada is a manager.
    await alone({ name: "alpha" });
    const shared = await alone({ name: "Gone too" });
    await people.owner.api.must("POST", `${path(shared)}/members`, { user_id: ada.id, role: "manager" });
    await remove(shared);
  });
  const list = (query: string): Promise<Answer> => ada.api.get(`/projects?${query}`);
  const names = async (query: string): Promise<string[]> => {
    const { body } = await list(query);
    expect(body.total).toBe(body.items.length);
    return body.items.map(({ name }: Wire): string => name);
  };

  test.each<[query: string, found: string[]]>([
    ["", ["Delta", "gamma_ray", "Beta 100%", "alpha"]],
    ["status=active", ["gamma_ray", "Beta 100%", "alpha"]],
    ["status=archived", ["Delta"]],
    ["status=archived,active&sort=name", ["alpha", "Beta 100%", "Delta", "gamma_ray"]],
    ["sort=-name", ["gamma_ray", "Delta", "Beta 100%", "alpha"]],
    ["sort=created_at", ["alpha", "Beta 100%", "gamma_ray", "Delta"]],
    ["sort=updated_at,name", ["alpha", "Beta 100%", "gamma_ray", "Delta"]],
    ["q=ETA", ["Beta 100%"]],
    ["q=ta&sort=name", ["Beta 100%", "Delta"]],
    ["q=%25", ["Beta 100%"]],
    ["q=_", ["gamma_ray"]],
    ["q=beta-100", ["Beta 100%"]],
    ["q=%5C", []],
    ["q=nothing", []],
    ["include_deleted=false&sort=name", ["alpha", "Beta 100%", "Delta", "gamma_ray"]],
    ["include_deleted=true&sort=name", ["alpha", "Beta 100%", "Delta", "gamma_ray", "Gone"]],
    ["include_deleted=true&q=gone", ["Gone"]],
  ])("?%s gives %j", async (query, found) => {
    // A name that others have got a slug of its own.
    if (query === "q=beta-100") expect((await list("q=Beta")).body.items[0].slug).toMatch(/^beta-100/);
    expect(await names(query)).toEqual(found);
  });

  test("a deleted one says when it was", async () => {
    const { items } = (await list("include_deleted=true&sort=name")).body;
    expect(items.map((item: Wire) => "deleted_at" in item)).toEqual([false, false, false, false, true]);
  });

  test.each([
    "status=deleted",
    "status=",
    "q=",
    `q=${"x".repeat(101)}`,
    "include_deleted=maybe",
    "sort=slug",
    "sort=role",
    "sort=name,name",
    "limit=101",
    "owner_id=x",
  ])("?%s is 422", async (query) => {
    expectProblem(await list(query), 422, "validation-failed", [`?${query.split("=")[0]}`]);
  });
});

describe("GET /projects/{project}/members", () => {
  test("by role, and by when they came", async () => {
    const project = await team();
    const roles = async (sort: string): Promise<string[]> =>
      (await people.viewer.api.must("GET", `${path(project)}/members?sort=${sort}`)).items.map(
        ({ role }: Wire): string => role,
      );
    expect(await roles("role")).toEqual(["viewer", "member", "manager", "owner"]);
    expect(await roles("-role")).toEqual(["owner", "manager", "member", "viewer"]);
    expect(await roles("-created_at")).toEqual(["viewer", "member", "manager", "owner"]);
    const answer = await people.viewer.api.get(`${path(project)}/members?sort=username`);
    expectProblem(answer, 422, "validation-failed", ["?sort"]);
  });
});

describe("GET /projects/{project}/events", () => {
  let project: Wire;
  beforeAll(async () => {
    project = await team();
    for (const n of upTo(5)) await people.owner.api.must("POST", `${path(project)}/tasks`, { title: `${n}` });
    await patch(project, { name: "Rocket" });
  });
  const feed = (query = "", who = people.viewer, key: string = project.id): Promise<Answer> =>
    who.api.get(`/projects/${key}/events${query}`);
  const seqs = ({ body }: Answer): number[] => body.items.map(({ seq }: Wire): number => seq);

  test("is the project's stream as the log holds it, oldest first", async () => {
    const { status, body, headers } = await feed();
    expect([status, body.limit, body.head, headers.get("link")]).toEqual([200, 20, 10, null]);
    const { rows } = await db.query(
      "SELECT id, actor_id, request_id FROM events.log WHERE stream = $1 ORDER BY seq",
      [`project:${project.id}`],
    );
    const log = await readStream(db, `project:${project.id}`);
    expect(body.items).toEqual(
      log.map((event, n) => ({
        ...rows[n],
        ...event,
        stream: `project:${project.id}`,
        time: expect.any(String),
      })),
    );
    expect(body.items.map(({ type }: Wire): string => type)).toEqual([
      ...upTo(4).map(() => "member_added"),
      ...upTo(5).map(() => "task_created"),
      "project_updated",
    ]);
    expect(body.items.every(({ actor_id }: Wire) => actor_id === people.owner.id)).toBe(true);
  });

  test("begins after a number, by slug too", async () => {
    expect(seqs(await feed("?after=8"))).toEqual([9, 10]);
    expect(seqs(await feed("?after=8", people.owner, project.slug))).toHaveLength(2);
    for (const after of [10, 11, Number.MAX_SAFE_INTEGER]) {
      const { body, headers } = await feed(`?after=${after}`);
      expect([body, headers.get("link")]).toEqual([
        { items: [], limit: 20, head: 10, next: `${after}` },
        null,
      ]);
    }
  });

  test.each(["", "/api/v1"])("its Links under '%s' lead through all of it", async (prefix) => {
    const seen: number[] = [];
    const log = (await feed()).body.items;
    let next: string | undefined = `${prefix}/projects/${project.id}/events?limit=4`;
    for (let pages = 0; next !== undefined && pages < 9; pages++) {
      const answer: Answer = await people.viewer.api.get(next);
      seen.push(...seqs(answer));
      next = /^<([^>]+)>; rel="next"$/.exec(answer.headers.get("link") ?? "")?.[1];
      if (next !== undefined)
        expect(next).toBe(
          `${prefix}/projects/${project.id}/events?limit=4&after=${seen.length}-${log[seen.length - 1].id}`,
        );
    }
    expect(seen).toEqual(upTo(10));
  });

  test("begins after an event, whose id is compared", async () => {
    const { body } = await feed("?limit=4");
    const [event, last] = [body.items[2], body.items[3]];
    expect(body.next).toBe(`4-${last.id}`);
    expect(seqs(await feed(`?after=3-${event.id}`))).toEqual([4, 5, 6, 7, 8, 9, 10]);
    expect(seqs(await feed(`?after=3-${event.id.toUpperCase()}&limit=2`))).toEqual([4, 5]);
    const end = (await feed(`?after=${body.next}`)).body.next;
    expect((await feed(`?after=${end}`)).body).toEqual({ items: [], limit: 20, head: 10, next: end });
    for (const other of [`3-${last.id}`, `11-${last.id}`, `3-${newId()}`])
      expectProblem(await feed(`?after=${other}`), 409, "log-rewritten");
    expect(seqs(await feed(`?after=0-${newId()}`))).toHaveLength(10);
  });

  test("is for who sees the project", async () => {
    expect(await statuses((who) => feed("", who))).toEqual({
      owner: 200,
      manager: 200,
      member: 200,
      viewer: 200,
      stranger: 404,
      boss: 200,
      admin: 200,
    });
    expectProblem(await feed("", people.owner, newId()), 404, "not-found");
  });

  test.each([
    "after=-1",
    "after=x",
    "after=1.5",
    "after=1-x",
    "after=-1-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
    "limit=0",
    "limit=101",
    "offset=1",
    "cursor=x",
    "sort=-seq",
  ])("?%s is 422", async (query) => {
    expectProblem(await feed(`?${query}`), 422, "validation-failed", [`?${query.split("=")[0]}`]);
  });
});

describe("the counts in a project's detail", () => {
  test("follow every write to its tasks, in every status", async () => {
    const project = await team();
    const { owner, viewer } = people;
    const counts = async (): Promise<number[]> =>
      Object.values((await viewer.api.must("GET", path(project))).task_counts);
    // pending, in_progress, completed, cancelled, archived
    const ids: string[] = [];
    for (const status of ["pending", "pending", "in_progress", "completed", "cancelled"])
      ids.push((await owner.api.must("POST", `${path(project)}/tasks`, { title: "x", status })).id);
    expect(await counts()).toEqual([2, 1, 1, 1, 0]);
    const [first, second, , done, off] = ids;
    await owner.api.must("POST", `/tasks/${done}/transitions`, { to: "archived" });
    expect(await counts()).toEqual([2, 1, 0, 1, 1]);
    await owner.api.must("PATCH", `/tasks/${first}`, { status: "completed" });
    await owner.api.must("PUT", `/tasks/${off}`, { title: "x" });
    expect(await counts()).toEqual([2, 1, 1, 0, 1]);
    await owner.api.must("DELETE", `/tasks/${second}`);
    expect(await counts()).toEqual([1, 1, 1, 0, 1]);
    await owner.api.must("POST", `/tasks/${second}/restore`);
    await owner.api.must("POST", "/tasks/bulk", {
      operations: [
        { op: "create", title: "x", project_id: project.id },
        { op: "transition", id: second, to: "in_progress" },
      ],
    });
    expect(await counts()).toEqual([2, 2, 1, 0, 1]);
    expect("task_counts" in (await owner.api.must("GET", "/projects")).items[0]).toBe(false);
  });
});
