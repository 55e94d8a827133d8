/** Personal tokens with `project_ids` (docs/reference.md, Personal access tokens): they reach these projects, and nothing else of their owner's. */
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import type { Api, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { expectProblem } from "../support/expectations.ts";

let node: TestNode;
let ada: Person;
let limited: Api;
let inside: World;
let outside: World;

/** A project of Ada's and what is in it. */
interface World {
  project: string;
  slug: string;
  task: string;
  deleted: string;
  comment: string;
}

async function world(name: string): Promise<World> {
  const { id: project, slug } = await ada.api.must("POST", "/projects", { name });
  const { id: task } = await ada.api.must("POST", `/projects/${project}/tasks`, { title: name });
  const { id: deleted } = await ada.api.must("POST", `/projects/${project}/tasks`, { title: `old ${name}` });
  const { id: comment } = await ada.api.must("POST", `/tasks/${task}/comments`, { body: name });
  await ada.api.must("DELETE", `/tasks/${deleted}`);
  return { project, slug, task, deleted, comment };
}

beforeAll(async () => {
  node = await startTestNode();
  ada = await node.api.person("ada");
  [inside, outside] = [await world("Inside"), await world("Outside")];
  const { token } = await ada.api.must("POST", "/auth/tokens", {
    name: "CI",
    scope: "write",
    project_ids: [inside.project],
  });
  limited = node.api.as(token);
});

afterAll(() => node.stop());

/** What each route answers where it would leave the projects; null where it has no such way. */
type Attempt = [status: number, path: (there: World) => string, body?: object] | null;
const inProject = (rest: string, body?: object): Attempt => [
  404,
  ({ project }) => `/projects/${project}${rest}`,
  body,
];
const onTask = (rest: string, body?: object): Attempt => [404, ({ task }) => `/tasks/${task}${rest}`, body];
const onComment = (body?: object): Attempt => [
  404,
  ({ task, comment }) => `/tasks/${task}/comments/${comment}`,
  body,
];
const refused = (path: string, body?: object): Attempt => [403, () => path, body];
const NOBODY = "0198c0de-0000-7000-8000-000000000000";

const ATTEMPTS: Record<string, Attempt> = {
  "POST /auth/register": null,
  "POST /auth/login": null,
  "POST /auth/refresh": null,
  "POST /auth/logout": refused("/auth/logout"),
  "POST /auth/logout-all": refused("/auth/logout-all"),
  "GET /auth/me": null,
  "GET /auth/sessions": refused("/auth/sessions"),
  "DELETE /auth/sessions/:id": refused(`/auth/sessions/${NOBODY}`),
  "POST /auth/verify-email": null,
  "POST /auth/verify-email/resend": refused("/auth/verify-email/resend"),
  "POST /auth/password/forgot": null,
  "POST /auth/password/reset": null,
  "POST /auth/password/change": refused("/auth/password/change", {
    current_password: "correct horse battery",
    password: "another correct horse",
  }),
  "GET /auth/tokens": refused("/auth/tokens"),
  "POST /auth/tokens": refused("/auth/tokens", { name: "More", scope: "write" }),
  "DELETE /auth/tokens/:id": refused(`/auth/tokens/${NOBODY}`),
  "GET /users": refused("/users"),
  "GET /users/:id": refused(`/users/${NOBODY}`),
  "PATCH /users/:id": refused(`/users/${NOBODY}`, {}),
  "DELETE /users/:id": refused(`/users/${NOBODY}`),
  "GET /projects": null,
  "POST /projects": refused("/projects", { name: "Mine" }),
  "GET /projects/:project": inProject(""),
  "PUT /projects/:project": inProject("", { name: "Taken" }),
  "PATCH /projects/:project": inProject("", { name: "Taken" }),
  "DELETE /projects/:project": inProject(""),
  "POST /projects/:project/restore": inProject("/restore"),
  "GET /projects/:project/members": inProject("/members"),
  "POST /projects/:project/members": inProject("/members", { user_id: NOBODY, role: "viewer" }),
  "GET /projects/:project/members/:user_id": inProject(`/members/${NOBODY}`),
  "PATCH /projects/:project/members/:user_id": inProject(`/members/${NOBODY}`, { role: "viewer" }),
  "DELETE /projects/:project/members/:user_id": inProject(`/members/${NOBODY}`),
  "GET /projects/:project/events": inProject("/events"),
  "GET /events": refused("/events"),
  "GET /events/stream": refused("/events/stream"),
  "GET /projects/:project/events/stream": inProject("/events/stream"),
  "GET /projects/:project/snapshot": inProject("/snapshot"),
  "POST /sync": null,
  "GET /projects/:project/tasks": inProject("/tasks"),
  "POST /projects/:project/tasks": inProject("/tasks", { title: "Mine" }),
  "GET /tasks": null,
  "POST /tasks": refused("/tasks", { title: "Personal" }),
  "POST /tasks/bulk": null,
  "GET /tasks/:id": onTask(""),
  "PUT /tasks/:id": onTask("", { title: "Taken" }),
  "PATCH /tasks/:id": onTask("", { title: "Taken" }),
  "DELETE /tasks/:id": onTask(""),
  "POST /tasks/:id/restore": [404, ({ deleted }) => `/tasks/${deleted}/restore`],
  "POST /tasks/:id/redact": onTask("/redact"),
  "POST /tasks/:id/assign": onTask("/assign", { assigned_to: null }),
  "POST /tasks/:id/transitions": onTask("/transitions", { to: "completed" }),
  "POST /tasks/:id/move": onTask("/move", {}),
  "GET /tasks/:id/comments": onTask("/comments"),
  "POST /tasks/:id/comments": onTask("/comments", { body: "Hello" }),
  "GET /tasks/:id/comments/:comment_id": onComment(),
  "PATCH /tasks/:id/comments/:comment_id": onComment({ body: "Taken" }),
  "DELETE /tasks/:id/comments/:comment_id": onComment(),
  "POST /tasks/:id/comments/:comment_id/redact": [
    404,
    ({ task, comment }) => `/tasks/${task}/comments/${comment}/redact`,
  ],
  "GET /categories": refused("/categories"),
  "POST /categories": refused("/categories", { name: "Mine", color: "#112233" }),
  "GET /categories/:id": refused(`/categories/${NOBODY}`),
  "PATCH /categories/:id": refused(`/categories/${NOBODY}`, {}),
  "DELETE /categories/:id": refused(`/categories/${NOBODY}`),
};

describe("a token that is limited to a project", () => {
  test.each(ROUTES.map(({ method, path }) => [method, path]))(
    "does not leave it by %s %s",
    async (method, path) => {
      const attempt = ATTEMPTS[`${method} ${path}`];
      // A new route says here what such a token gets.
      expect(attempt).toBeDefined();
      if (attempt == null) return;
      const [status, pathOf, body] = attempt;
      const answer = await limited.request(method, pathOf(outside), body);
      expect({ status: answer.status, detail: answer.body?.detail }).toEqual({
        status,
        detail: expect.any(String),
      });
    },
  );

  test("reads and writes inside", async () => {
    const { project, task, comment } = inside;
    for (const path of [
      `/projects/${project}`,
      `/projects/${inside.slug}`,
      `/projects/${project}/members`,
      `/projects/${project}/members/${ada.id}`,
      `/projects/${project}/events`,
      `/projects/${project}/tasks`,
      `/tasks/${task}`,
      `/tasks/${task}/comments/${comment}`,
      "/auth/me",
    ])
      expect([path, (await limited.get(path)).status]).toEqual([path, 200]);
    const { id } = await limited.must("POST", `/projects/${project}/tasks`, { title: "By a machine" });
    await limited.must("POST", `/tasks/${id}/transitions`, { to: "in_progress" });
    await limited.must("POST", `/tasks/${id}/move`, { status: "pending" });
    await limited.must("DELETE", `/tasks/${id}`);
  });

  test("lists what is inside and counts nothing else, also after its owner was answered from the cache", async () => {
    await ada.api.must("POST", "/tasks", { title: "Personal" });
    const titles = async (api: Api, path: string) => {
      const { items, total } = await api.must("GET", path);
      return { total, titles: (items as Wire[]).map(({ title, name }) => title ?? name) };
    };
    for (const path of ["/tasks", "/projects", "/tasks?q=inside+or+outside+or+personal"]) {
      expect((await titles(ada.api, path)).titles).toContain("Outside");
      expect(await titles(limited, path)).toEqual({ total: 1, titles: ["Inside"] });
    }
    await ada.api.must("GET", `/tasks/${outside.task}`);
    expectProblem404(await limited.get(`/tasks/${outside.task}`));
    expect(await titles(limited, `/tasks?project_id=${outside.project}`)).toEqual({ total: 0, titles: [] });
  });

  test("changes nothing outside in bulk", async () => {
    const answer = await limited.post("/tasks/bulk", {
      operations: [
        { op: "update", id: inside.task, title: "Half" },
        { op: "update", id: outside.task, title: "Taken" },
        { op: "create", title: "Personal" },
        { op: "create", title: "There", project_id: outside.project },
      ],
    });
    expect(answer.status).toBe(422);
    expect(answer.body.results.map(({ status }: Wire) => status)).toEqual([424, 404, 403, 404]);
  });

  test("is not told what its owner was answered under the same idempotency key", async () => {
    const key = { "Idempotency-Key": "the-same" };
    expect((await ada.api.post("/tasks", { title: "Secret" }, key)).status).toBe(201);
    expectProblem(await limited.post("/tasks", { title: "Secret" }, key), 422, "idempotency-key-reused");
  });
});

test("an admin's token stays within its projects too", async () => {
  const other = await node.api.person("other");
  const { id } = await other.api.must("POST", "/projects", { name: "Theirs" });
  const actor = { id: ada.id, role: "admin" as const, session: NOBODY, projects: [inside.project] };
  const call = (action: string, params: object) =>
    (node.broker.call as (name: string, params: object, options: object) => Promise<Wire>)(action, params, {
      meta: { actor },
    });
  const { $json } = await call("projects.get", { project: inside.project });
  expect(JSON.parse($json).id).toBe(inside.project);
  await expect(call("projects.get", { project: id })).rejects.toMatchObject({ type: "not-found" });
  await expect(call("users.list", {})).rejects.toMatchObject({ type: "forbidden" });
});

describe("POST /auth/tokens with project_ids", () => {
  test("shows them, there and in the list", async () => {
    const created = await ada.api.must("POST", "/auth/tokens", {
      name: "Two",
      scope: "read",
      project_ids: [inside.project, outside.project],
    });
    expect(created.project_ids).toEqual([inside.project, outside.project]);
    const { items } = await ada.api.must("GET", "/auth/tokens?sort=-created_at");
    expect(items[0].project_ids).toEqual([inside.project, outside.project]);
  });

  test("refuses projects that its owner may not see, none at all, and repeats", async () => {
    const stranger = await node.api.person("stranger");
    const make = (api: Api, project_ids: unknown) =>
      api.post("/auth/tokens", { name: "CI", scope: "read", project_ids });
    expectProblem(await make(stranger.api, [inside.project]), 422, "validation-failed", ["#/project_ids/0"]);
    expectProblem(await make(ada.api, [inside.project, NOBODY]), 422, "validation-failed", [
      "#/project_ids/1",
    ]);
    for (const wrong of [[], [inside.project, inside.project]])
      expect((await make(ada.api, wrong)).status).toBe(422);
    expectProblem(await make(ada.api, ["no-id"]), 422, "validation-failed", ["#/project_ids/0"]);
  });
});

const expectProblem404 = (answer: Wire): void => expect(answer.status).toBe(404);
