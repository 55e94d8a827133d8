import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import type pg from "pg";
import { newId } from "../../core/ids.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { tally, upTo } from "../support/counting.ts";
import { openDatabase, readStream } from "../support/database.ts";
import { expectProblem } from "../support/expectations.ts";

let node: TestNode;
let db: pg.Client;
let ada: Person;
let ben: Person;
/** Ada's, in which Ben is a viewer. */
let project: Wire;

beforeAll(async () => {
  node = await startTestNode();
  db = await openDatabase(node);
  [ada, ben] = (await Promise.all(["ada", "ben"].map((name) => node.api.person(name)))) as [Person, Person];
  project = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${project.id}/members`, { user_id: ben.id, role: "viewer" });
});
afterAll(async () => {
  await db?.end();
  await node?.stop();
});

const make = (fields: object = {}): Promise<Wire> =>
  ada.api.must("POST", "/tasks", { title: "Write it", ...fields });
const tagOf = ({ headers }: Answer): string => headers.get("etag") ?? "none";
const read = (path: string, headers: Record<string, string> = {}, who = ada): Promise<Answer> =>
  who.api.get(path, headers);
const readTag = async (path: string, who = ada): Promise<string> => tagOf(await read(path, {}, who));

/** A write to something of its own, and the tag by which it may happen. */
interface Target {
  method: string;
  path: string;
  body?: object;
  tag: string;
  who: Person;
}

async function task(fields: object = {}): Promise<Pick<Target, "path" | "tag" | "who">> {
  const path = `/tasks/${(await make(fields)).id}`;
  return { path, tag: await readTag(path), who: ada };
}
async function ownProject(): Promise<Pick<Target, "path" | "tag" | "who">> {
  const path = `/projects/${(await ada.api.must("POST", "/projects", { name: "x" })).id}`;
  return { path, tag: await readTag(path), who: ada };
}
async function created(path: string, body: object): Promise<Pick<Target, "path" | "tag" | "who">> {
  const answer = await ada.api.post(path, body);
  return { path: `${path}/${answer.body.id}`, tag: tagOf(answer), who: ada };
}
const comment = async () => created(`/tasks/${(await make()).id}/comments`, { body: "x" });
const category = () => created("/categories", { name: newId(), color: "#000000" });
async function account(): Promise<Pick<Target, "path" | "tag" | "who">> {
  const who = await node.api.person("user");
  return { path: `/users/${who.id}`, tag: await readTag("/auth/me", who), who };
}
async function deleted({
  path,
  who,
}: Pick<Target, "path" | "who">): Promise<Pick<Target, "path" | "tag" | "who">> {
  await who.api.must("DELETE", path);
  return { path: `${path}/restore`, tag: '"2"', who };
}

const WRITES: Record<string, () => Promise<Target>> = {
  "PATCH /users/:id": async () => ({ ...(await account()), method: "PATCH", body: { first_name: "Ada" } }),
  "DELETE /users/:id": async () => ({ ...(await account()), method: "DELETE" }),
  "PUT /projects/:project": async () => ({ ...(await ownProject()), method: "PUT", body: { name: "y" } }),
  "PATCH /projects/:project": async () => ({ ...(await ownProject()), method: "PATCH", body: { name: "y" } }),
  "DELETE /projects/:project": async () => ({ ...(await ownProject()), method: "DELETE" }),
  "POST /projects/:project/restore": async () => ({ ...(await deleted(await ownProject())), method: "POST" }),
  "PUT /tasks/:id": async () => ({ ...(await task()), method: "PUT", body: { title: "y" } }),
  "PATCH /tasks/:id": async () => ({ ...(await task()), method: "PATCH", body: { title: "y" } }),
  "DELETE /tasks/:id": async () => ({ ...(await task()), method: "DELETE" }),
  "POST /tasks/:id/restore": async () => ({ ...(await deleted(await task())), method: "POST" }),
  "POST /tasks/:id/assign": async () => {
    const { path, ...rest } = await task();
    return { ...rest, path: `${path}/assign`, method: "POST", body: { assigned_to: ada.id } };
  },
  "POST /tasks/:id/transitions": async () => {
    const { path, ...rest } = await task();
    return { ...rest, path: `${path}/transitions`, method: "POST", body: { to: "completed" } };
  },
  "PATCH /tasks/:id/comments/:comment_id": async () => ({
    ...(await comment()),
    method: "PATCH",
    body: { body: "y" },
  }),
  "POST /tasks/:id/move": async () => {
    const { path, ...rest } = await task();
    return { ...rest, path: `${path}/move`, method: "POST", body: {} };
  },
  "POST /tasks/:id/redact": async () => {
    const { path, ...rest } = await task();
    return { ...rest, path: `${path}/redact`, method: "POST" };
  },
  "POST /tasks/:id/comments/:comment_id/redact": async () => {
    const { path, ...rest } = await comment();
    return { ...rest, path: `${path}/redact`, method: "POST" };
  },
  "DELETE /tasks/:id/comments/:comment_id": async () => ({ ...(await comment()), method: "DELETE" }),
  "PATCH /categories/:id": async () => ({
    ...(await category()),
    method: "PATCH",
    body: { color: "#FFFFFF" },
  }),
  "DELETE /categories/:id": async () => ({ ...(await category()), method: "DELETE" }),
};
const write = ({ who, method, path, body }: Target, ifMatch?: string): Promise<Answer> =>
  who.api.request(method, path, body, ifMatch === undefined ? {} : { "If-Match": ifMatch });

const READS: Record<string, () => Promise<string>> = {
  "GET /auth/me": async () => "/auth/me",
  "GET /users/:id": async () => `/users/${ben.id}`,
  "GET /projects/:project": async () => `/projects/${project.id}`,
  "GET /tasks/:id": async () => (await task()).path,
  "GET /tasks/:id/comments/:comment_id": async () => (await comment()).path,
  "GET /categories/:id": async () => (await category()).path,
};
const CREATIONS: Record<string, () => Promise<Answer>> = {
  "POST /projects": () => ada.api.post("/projects", { name: "x" }),
  "POST /projects/:project/tasks": () => ada.api.post(`/projects/${project.id}/tasks`, { title: "x" }),
  "POST /tasks": () => ada.api.post("/tasks", { title: "x" }),
  "POST /tasks/:id/comments": async () => ada.api.post(`/tasks/${(await make()).id}/comments`, { body: "x" }),
  "POST /categories": () => ada.api.post("/categories", { name: newId(), color: "#000000" }),
};

test("every route with an entity tag is tried here", () => {
  const versioned = ROUTES.filter((route) => route.versioned).map(({ method, path }) => `${method} ${path}`);
  expect([READS, CREATIONS, WRITES].flatMap(Object.keys).sort()).toEqual(versioned.sort());
});

describe("ETag", () => {
  test.each(Object.entries(READS))("%s: strong, the same until something changes", async (_, target) => {
    const path = await target();
    const tag = await readTag(path);
    expect(tag).toMatch(/^"[\w-]+"$/);
    expect([await readTag(path), await readTag(`/api/v1${path}`)]).toEqual([tag, tag]);
  });

  test.each(Object.entries(CREATIONS))("%s answers the first version's", async (_, make) => {
    expect(tagOf(await make())).toBe('"1"');
  });

  test.each(Object.entries(WRITES))("%s answers the new version's, or nothing", async (_, target) => {
    const answer = await write(await target());
    const { version, updated_at } = answer.body ?? {};
    const expected = answer.status === 204 ? "none" : `"${version ?? Date.parse(updated_at)}"`;
    expect([answer.status < 300, tagOf(answer)]).toEqual([true, expected]);
  });

  test("lists have none", async () => {
    for (const path of ["/tasks", "/projects", "/users", "/categories", `/projects/${project.id}/members`])
      expect(await readTag(path)).toBe("none");
  });
});

describe("If-None-Match", () => {
  const expectUnchanged = ({ status, headers, body }: Answer, tag: string): void => {
    expect([status, body, headers.get("etag")]).toEqual([304, null, tag]);
    expect(headers.get("cache-control")).toBe("private, no-cache");
    expect(headers.get("vary")).toContain("Authorization");
    expect(headers.get("content-type")).toBeNull();
    expect(headers.get("x-request-id")).not.toBeNull();
  };

  test.each(Object.entries(READS))("%s: 304 for who has it, to HEAD too", async (_, target) => {
    const path = await target();
    const tag = await readTag(path);
    for (const method of ["GET", "HEAD"])
      for (const value of [tag, "*", `W/${tag}`, `"x", ${tag}`, `"x",W/${tag} , "y"`, `, "x",,${tag},`])
        expectUnchanged(await ada.api.request(method, path, undefined, { "If-None-Match": value }), tag);
  });

  test.each(["-gzip", ";gzip", "--gzip", "-br", "-zstd"])(
    "%s is what a proxy made of our tag",
    async (suffix) => {
      const { path } = await task();
      const tag = await readTag(path);
      const made = `${tag.slice(0, -1)}${suffix}"`;
      for (const value of [made, `W/${made}`])
        expectUnchanged(await read(path, { "If-None-Match": value }), tag);
      for (const [title, before, after] of [
        ["y", "", suffix],
        ["z", "W/", suffix],
        ["w", "W/", ""],
      ]) {
        const present = (await readTag(path)).slice(0, -1);
        const answer = await ada.api.patch(path, { title }, { "If-Match": `${before}${present}${after}"` });
        expect([answer.status, answer.body.title]).toEqual([200, title]);
      }
      expectProblem(
        await ada.api.patch(path, { title: "v" }, { "If-Match": made }),
        412,
        "precondition-failed",
      );
    },
  );

  test.each(Object.entries(READS))("%s: 200 for who has another", async (_, target) => {
    const path = await target();
    const tag = await readTag(path);
    for (const value of ['"1"', '""', "", " ,", '"x", "y"', `"x${tag.slice(1)}`, 'W/"2"']) {
      const { status, body, headers } = await read(path, { "If-None-Match": value });
      expect([status, typeof body.id, headers.get("etag")]).toEqual([200, "string", tag]);
    }
  });

  test.each(["1", '"1', '"1" "2"', '"1",2', "*, *", '*,"1"', 'w/"1"', '"a b"'])(
    "%j is 400",
    async (value) => {
      const { path } = await task();
      expectProblem(await read(path, { "If-None-Match": value }), 400, "malformed-request");
    },
  );

  test("what is gone is 404, whoever had it", async () => {
    const { path, tag } = await task();
    await ada.api.must("DELETE", path);
    for (const value of [tag, "*"])
      expectProblem(await read(path, { "If-None-Match": value }), 404, "not-found");
  });

  test("no write and no list heeds it", async () => {
    const { path } = await task();
    for (const value of ["*", await readTag(path), "malformed"]) {
      const { status, body } = await ada.api.patch(path, { title: value }, { "If-None-Match": value });
      expect([status, body.title]).toEqual([200, value]);
    }
    expect((await read("/tasks", { "If-None-Match": "*" })).status).toBe(200);
    expect((await ada.api.delete(path, { "If-None-Match": "*" })).status).toBe(204);
  });

  describe("is not enough once anything that is answered has changed, the version or not", () => {
    const expectChanged = async (path: string, change: () => Promise<unknown>, who = ada): Promise<void> => {
      const { headers, body } = await read(path, {}, who);
      await change();
      const after = await read(path, { "If-None-Match": headers.get("etag") as string }, who);
      expect(after.status).toBe(200);
      expect(after.body).not.toEqual(body);
      // It is no other version for who writes.
      if (after.body.version === body.version)
        expect(tagOf(after).split("-")[0]).toBe((headers.get("etag") as string).split("-")[0]);
    };

    test("a task's comments", async () => {
      const { path } = await task();
      await expectChanged(path, () => ada.api.must("POST", `${path}/comments`, { body: "x" }));
      const { body } = await read(`${path}/comments`);
      await expectChanged(path, () => ada.api.must("DELETE", `${path}/comments/${body.items[0].id}`));
    });

    test("the name of its project, of its category and of its people", async () => {
      const place = await ownProject();
      const label = await category();
      const { who, path: self } = await account();
      const project_id = place.path.split("/")[2] as string;
      await ada.api.must("POST", `${place.path}/members`, { user_id: who.id, role: "member" });
      const category_id = label.path.split("/")[2];
      const { path } = await task({ project_id, category_id, assigned_to: who.id });
      await expectChanged(path, () => ada.api.must("PATCH", place.path, { name: "Another" }));
      await expectChanged(path, () => ada.api.must("PATCH", place.path, { slug: `s-${newId()}` }));
      await expectChanged(path, () => ada.api.must("PATCH", label.path, { color: "#ABCDEF" }));
      await expectChanged(path, () => ada.api.must("DELETE", label.path));
      await expectChanged(path, () => who.api.must("PATCH", self, { first_name: "Grace" }));
    });

    test("how many tasks a project has, and one's own role in it", async () => {
      const { path } = await ownProject();
      const project_id = path.split("/")[2];
      const members = `${path}/members`;
      await ada.api.must("POST", members, { user_id: ben.id, role: "viewer" });
      const { id } = await make();
      await expectChanged(path, () => make({ project_id }), ben);
      const of = (await read(`${path}/tasks`)).body.items[0].id as string;
      await expectChanged(
        path,
        () => ada.api.must("POST", `/tasks/${of}/transitions`, { to: "completed" }),
        ben,
      );
      await expectChanged(path, () => ada.api.must("DELETE", `/tasks/${of}`), ben);
      await expectChanged(path, () => ada.api.must("POST", `/tasks/${of}/restore`), ben);
      await expectChanged(
        path,
        () =>
          ada.api.must("POST", "/tasks/bulk", {
            operations: [
              { op: "delete", id: of },
              { op: "delete", id },
            ],
          }),
        ben,
      );
      await expectChanged(path, () => ada.api.must("PATCH", `${members}/${ben.id}`, { role: "member" }), ben);
    });
  });
});

describe("If-Match", () => {
  test.each(Object.entries(WRITES))(
    "%s: 412 for who saw another version, and nothing is done",
    async (_, target) => {
      const one = await target();
      const [, version] = /^"(\d+)/.exec(one.tag) as unknown as [string, string];
      for (const stale of [
        '"999"',
        `"${version}0"`,
        `${one.tag.slice(0, -1)}-rot13"`,
        '""',
        "",
        ",",
        '"x", "y"',
        `"${"9".repeat(30)}"`,
      ])
        expectProblem(await write(one, stale), 412, "precondition-failed");
      // Nothing was: it still is the version that it was.
      expect((await write(one, `"x",, ${one.tag},`)).status).toBeLessThan(300);
    },
  );

  test.each(Object.entries(WRITES))(
    "%s: what the write itself answered, and * for any, will do",
    async (_, target) => {
      const one = await target();
      expect((await write(one, "*")).status).toBeLessThan(300);
      if (one.method !== "PATCH") return;
      const tag = tagOf(await write({ ...one, body: { ...one.body } }, "*"));
      expect((await write(one, tag)).status).toBe(200);
      expectProblem(await write(one, one.tag), 412, "precondition-failed");
    },
  );

  test.each(["1", '"1', '"1" "2"', '"1",2', '*,"1"', '"a b"'])(
    "%j is 400, and nothing is done",
    async (value) => {
      const one = (await WRITES["PATCH /tasks/:id"]?.()) as Target;
      expectProblem(await write(one, value), 400, "malformed-request");
      expect(await readTag(one.path)).toBe(one.tag);
    },
  );

  test("of ten at once who saw the same, one does it, with one event", async () => {
    const { who } = await account();
    const { id } = await who.api.must("POST", "/tasks", { title: "x" });
    const tag = await readTag(`/tasks/${id}`, who);
    const answers = await Promise.all(
      upTo(10).map((n) => who.api.patch(`/tasks/${id}`, { title: `${n}` }, { "If-Match": tag })),
    );
    expect(tally(answers)).toEqual({ 200: 1, 412: 9 });
    expect(await readStream(db, `user:${who.id}`)).toHaveLength(2);
  });

  test("of ten at once to a project, a category or a comment, one does it", async () => {
    for (const [target, field] of [
      [ownProject, "name"],
      [category, "name"],
      [comment, "body"],
    ] as const) {
      const { path, tag } = await target();
      const answers = await Promise.all(
        upTo(10).map((n) => ada.api.patch(path, { [field]: `${n} ${newId()}` }, { "If-Match": tag })),
      );
      expect(tally(answers)).toEqual({ 200: 1, 412: 9 });
    }
  });

  test("of ten at once to an account, one does it, each time", async () => {
    const { path, who } = await account();
    for (const _ of upTo(2)) {
      const tag = await readTag(path, who);
      const answers = await Promise.all(
        upTo(10).map((n) => who.api.patch(path, { first_name: `${n} ${newId()}` }, { "If-Match": tag })),
      );
      expect(tally(answers)).toEqual({ 200: 1, 412: 9 });
    }
  });

  test("a comment does not make a task's version stale", async () => {
    const { path, tag } = await task();
    await ada.api.must("POST", `${path}/comments`, { body: "x" });
    expect((await ada.api.patch(path, { title: "y" }, { "If-Match": tag })).status).toBe(200);
  });

  describe("comes after who may know of it and who may do it, and before what its state allows", () => {
    const STALE = { "If-Match": '"999"' };

    test("404 for what isn't there or is a stranger's", async () => {
      const { who: stranger } = await account();
      const { path } = await task({ project_id: project.id });
      for (const one of [path, `/tasks/${newId()}`]) {
        expectProblem(await stranger.api.patch(one, { title: "y" }, STALE), 404, "not-found");
        expectProblem(await stranger.api.delete(one, STALE), 404, "not-found");
        expectProblem(
          await stranger.api.post(`${one}/assign`, { assigned_to: null }, STALE),
          404,
          "not-found",
        );
      }
      expectProblem(
        await stranger.api.patch(`/projects/${project.id}`, { name: "y" }, STALE),
        404,
        "not-found",
      );
      expectProblem(
        await stranger.api.patch((await category()).path, { name: "y" }, STALE),
        404,
        "not-found",
      );
      expectProblem(await stranger.api.patch((await comment()).path, { body: "y" }, STALE), 404, "not-found");
      expectProblem(await ada.api.post(`${path}/restore`, undefined, STALE), 404, "not-found");
    });

    test("403 for who may only look", async () => {
      const { path } = await task({ project_id: project.id });
      const remark = await created(`${path}/comments`, { body: "x" });
      for (const answer of [
        await ben.api.put(path, { title: "y" }, STALE),
        await ben.api.patch(path, { title: "y" }, STALE),
        await ben.api.delete(path, STALE),
        await ben.api.post(`${path}/transitions`, { to: "completed" }, STALE),
        await ben.api.post(`${path}/assign`, { assigned_to: null }, STALE),
        await ben.api.patch(remark.path, { body: "y" }, STALE),
        await ben.api.delete(remark.path, STALE),
        await ben.api.patch(`/projects/${project.id}`, { name: "y" }, STALE),
        await ben.api.delete(`/projects/${project.id}`, STALE),
        await ben.api.patch(`/users/${ada.id}`, { first_name: "y" }, STALE),
      ])
        expectProblem(answer, 403, "forbidden");
    });

    test("412 before a transition that is illegal, an assignee who can't, a name that is taken", async () => {
      const { path } = await task({ project_id: project.id });
      const { who: stranger } = await account();
      const label = await category();
      const { name } = (await read("/categories?limit=1")).body.items[0];
      for (const answer of [
        await ada.api.post(`${path}/transitions`, { to: "archived" }, STALE),
        await ada.api.patch(path, { status: "archived" }, STALE),
        await ada.api.put(path, { title: "x", status: "archived" }, STALE),
        await ada.api.post(`${path}/assign`, { assigned_to: stranger.id }, STALE),
        await ada.api.patch(label.path, { name }, STALE),
        await ada.api.patch(`/users/${ada.id}`, { username: ben.username }, STALE),
      ])
        expectProblem(answer, 412, "precondition-failed");
    });

    test("412 before 409 in an archived project", async () => {
      const place = await ownProject();
      const { path } = await task({ project_id: place.path.split("/")[2] });
      const remark = await created(`${path}/comments`, { body: "x" });
      await ada.api.must("PATCH", place.path, { status: "archived" });
      for (const [answer, fresh] of [
        [await ada.api.patch(path, { title: "y" }, STALE), await ada.api.patch(path, { title: "y" })],
        [await ada.api.delete(path, STALE), await ada.api.delete(path)],
        [
          await ada.api.patch(remark.path, { body: "y" }, STALE),
          await ada.api.patch(remark.path, { body: "y" }),
        ],
        [await ada.api.delete(remark.path, STALE), await ada.api.delete(remark.path)],
        [
          await ada.api.patch(place.path, { name: "y" }, STALE),
          await ada.api.patch(place.path, { name: "y" }),
        ],
        [await ada.api.delete(place.path, STALE), await ada.api.delete(place.path)],
      ] as const) {
        expectProblem(answer, 412, "precondition-failed");
        expectProblem(fresh, 409, "project-archived");
      }
    });

    test("422 for a body that is wrong whatever the state", async () => {
      const { path } = await task();
      expectProblem(await ada.api.patch(path, { title: "" }, STALE), 422, "validation-failed", ["#/title"]);
    });
  });
});

describe("REQUIRE_IF_MATCH=true", () => {
  let strict: TestNode;
  let eve: Person;
  beforeAll(async () => {
    strict = await startTestNode({ REQUIRE_IF_MATCH: true });
    eve = await strict.api.person("eve");
  });
  afterAll(async () => {
    await strict?.stop();
  });

  test("428 for PUT, PATCH and DELETE without it, and nothing is done", async () => {
    const task = await eve.api.must("POST", "/tasks", { title: "x" });
    const { id } = await eve.api.must("POST", "/projects", { name: "x" });
    const label = await eve.api.must("POST", "/categories", { name: "x", color: "#000000" });
    const remark = await eve.api.must("POST", `/tasks/${task.id}/comments`, { body: "x" });
    for (const [path, body] of [
      [`/tasks/${task.id}`, { title: "y" }],
      [`/projects/${id}`, { name: "y" }],
      [`/categories/${label.id}`, { name: "y" }],
      [`/tasks/${task.id}/comments/${remark.id}`, { body: "y" }],
      [`/users/${eve.id}`, { first_name: "y" }],
    ] as const) {
      expectProblem(await eve.api.patch(path, body), 428, "precondition-required");
      expectProblem(await eve.api.delete(path), 428, "precondition-required");
      if (!/users|categories|comments/.test(path))
        expectProblem(await eve.api.put(path, body), 428, "precondition-required");
    }
    const { body, headers } = await eve.api.get(`/tasks/${task.id}`);
    expect(body).toMatchObject({ title: "x", version: 1, comment_count: 1 });
    const tag = headers.get("etag") as string;
    expect((await eve.api.patch(`/tasks/${task.id}`, { title: "y" }, { "If-Match": tag })).status).toBe(200);
    expectProblem(
      await eve.api.patch(`/tasks/${task.id}`, { title: "z" }, { "If-Match": tag }),
      412,
      "precondition-failed",
    );
    expect((await eve.api.delete(`/tasks/${task.id}`, { "If-Match": "*" })).status).toBe(204);
  });

  test("what has no tag and what creates or moves needs none", async () => {
    const { id } = await eve.api.must("POST", "/tasks", { title: "x" });
    await eve.api.must("POST", `/tasks/${id}/transitions`, { to: "in_progress" });
    await eve.api.must("POST", `/tasks/${id}/assign`, { assigned_to: eve.id });
    await eve.api.must("POST", "/tasks/bulk", { operations: [{ op: "update", id, title: "y" }] });
    const place = await eve.api.must("POST", "/projects", { name: "x" });
    const fay = await strict.api.person("fay");
    const members = `/projects/${place.id}/members`;
    await eve.api.must("POST", members, { user_id: fay.id, role: "viewer" });
    await eve.api.must("PATCH", `${members}/${fay.id}`, { role: "member" });
    expect((await eve.api.delete(`${members}/${fay.id}`)).status).toBe(204);
    expect((await eve.api.get(`/tasks/${id}`)).body).toMatchObject({
      title: "y",
      status: "in_progress",
      assigned_to: eve.id,
    });
    expect((await eve.api.get(members)).body.items).toMatchObject([{ user_id: eve.id }]);
  });
});

describe("Accept", () => {
  test.each([
    "text/html",
    "application/xml;q=1, text/*",
    "application/problem+json",
    "application/json;q=0",
    "image/*",
  ])("%s is 406, and nothing is done", async (Accept) => {
    const { path, tag } = await task();
    expectProblem(await read(path, { Accept }), 406, "not-acceptable");
    expectProblem(await read("/tasks", { Accept }), 406, "not-acceptable");
    expectProblem(await ada.api.patch(path, { title: "y" }, { Accept }), 406, "not-acceptable");
    expect(await readTag(path)).toBe(tag);
  });

  test("where nothing is answered it makes no difference", async () => {
    const { path } = await task();
    expect((await ada.api.delete(path, { Accept: "text/html" })).status).toBe(204);
  });

  test.each(["*/*", "application/*", "text/html, */*;q=0.1", "application/json; charset=utf-8"])(
    "%s is served",
    async (Accept) => {
      expect((await read("/tasks?limit=1", { Accept })).status).toBe(200);
    },
  );
});
