import { readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import { newId } from "../../core/ids.ts";
import type { Answer, Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { openDatabase } from "../support/database.ts";
import { expectCommonHeaders, expectProblem, ID } from "../support/expectations.ts";
import { dial, type Raw, send } from "../support/raw-http.ts";

const ORIGIN = "https://app.example.com";
const JSON_TYPE = { "Content-Type": "application/json" };

let node: TestNode;
let ada: Person;
let project: string;
let task: string;
let comment: string;
let category: string;

beforeAll(async () => {
  node = await startTestNode({ CORS_ORIGINS: [ORIGIN] });
  ada = await node.api.person("ada");
  project = (await ada.api.must("POST", "/projects", { name: "Launch" })).id;
  task = (await ada.api.must("POST", "/tasks", { title: "Write it" })).id;
  comment = (await ada.api.must("POST", `/tasks/${task}/comments`, { body: "x" })).id;
  category = (await ada.api.must("POST", "/categories", { name: "x", color: "#000000" })).id;
});
afterAll(() => node?.stop());

/** As Ada. */
const asAda = ({ headers, ...rest }: Raw): Promise<Answer> =>
  send(node.url, { ...rest, headers: { Authorization: `Bearer ${ada.token}`, ...headers } });

const postTask = (body: string | Buffer, headers: Record<string, string> = JSON_TYPE): Promise<Answer> =>
  asAda({ method: "POST", path: "/tasks", headers, body });

const countTasks = async (): Promise<number> => (await ada.api.must("GET", "/tasks")).total;

/** Requests that end in every way there is. */
const KINDS: [what: string, status: number, raw: () => Raw][] = [
  ["a success", 200, () => ({ path: "/auth/me" })],
  ["a creation", 201, () => ({ method: "POST", path: "/tasks", headers: JSON_TYPE, body: '{"title":"x"}' })],
  ["HEAD", 200, () => ({ method: "HEAD", path: "/tasks" })],
  ["OPTIONS", 204, () => ({ method: "OPTIONS", path: "/tasks" })],
  [
    "a preflight",
    204,
    () => ({
      method: "OPTIONS",
      path: "/tasks",
      headers: { Origin: ORIGIN, "Access-Control-Request-Method": "POST" },
    }),
  ],
  ["bad JSON", 400, () => ({ method: "POST", path: "/tasks", headers: JSON_TYPE, body: "{" })],
  ["no credentials", 401, () => ({ path: "/auth/me", headers: { Authorization: [] } })],
  ["a missing task", 404, () => ({ path: `/tasks/${project}` })],
  ["an unknown route", 404, () => ({ path: "/nowhere" })],
  ["a wrong method", 405, () => ({ method: "DELETE", path: "/tasks" })],
  ["a wrong type", 415, () => ({ method: "POST", path: "/tasks", body: "title=x" })],
  ["a wrong field", 422, () => ({ method: "POST", path: "/tasks", headers: JSON_TYPE, body: "{}" })],
];

describe("headers of every response", () => {
  test.each(KINDS)("%s (%i) has a request id, its time and the security headers", async (_, status, raw) => {
    const answer = await asAda(raw());
    expect(answer.status).toBe(status);
    expectCommonHeaders(answer);
    expect(answer.headers.get("server")).toBeNull();
  });

  test.each(KINDS)("%s (%i) keeps the client's X-Request-ID", async (_, _status, raw) => {
    const request = raw();
    const answer = await asAda({
      ...request,
      headers: { ...request.headers, "X-Request-ID": "Trace-1.a_b" },
    });
    expect(answer.headers.get("x-request-id")).toBe("Trace-1.a_b");
    if (answer.status >= 400) expect(answer.body.request_id).toBe("Trace-1.a_b");
  });

  test.each([
    ["one character", "7"],
    ["128 characters", "x".repeat(128)],
  ])("an X-Request-ID of %s is kept", async (_, id) => {
    expect(
      (await asAda({ path: "/auth/me", headers: { "X-Request-ID": id } })).headers.get("x-request-id"),
    ).toBe(id);
  });

  test.each<[string, string | string[]]>([
    ["empty", ""],
    ["129 characters long", "x".repeat(129)],
    ["with a space", "a b"],
    ["with a slash", "a/b"],
    ["with markup", "<script>"],
    ["with a byte above 127", "caf\u00e9"],
    ["given twice", ["a", "b"]],
  ])("an X-Request-ID %s is replaced by a new one", async (_, id) => {
    const { status, headers } = await asAda({ path: "/auth/me", headers: { "X-Request-ID": id } });
    expect(status).toBe(200);
    expect(headers.get("x-request-id")).toMatch(ID);
  });

  test("two requests get two ids", async () => {
    const [one, two] = await Promise.all([asAda({ path: "/auth/me" }), asAda({ path: "/auth/me" })]);
    expect(one.headers.get("x-request-id")).not.toBe(two.headers.get("x-request-id"));
  });

  test("X-Correlation-ID has no say", async () => {
    const { headers } = await asAda({ path: "/auth/me", headers: { "X-Correlation-ID": "other" } });
    expect(headers.get("x-request-id")).toMatch(ID);
  });

  test("personal answers are not stored by caches", async () => {
    expect((await asAda({ path: "/auth/sessions" })).headers.get("cache-control")).toBe("no-store");
    expect((await asAda({ path: "/auth/me" })).headers.get("cache-control")).toBe("private, no-cache");
    expect((await asAda({ path: "/tasks/x" })).headers.get("cache-control")).toBe("no-store");
  });
});

test("a traceparent goes with its request to the services, and to those that they ask", async () => {
  const seen: unknown[] = [];
  const undo = ["tasks.assign", "users.people"].map((action) => {
    type Endpoint = { action: { handler: (this: void, ctx: { meta: { traceparent?: string } }) => unknown } };
    const { registry, nodeID } = node.broker as unknown as {
      registry: { getActionEndpointByNodeId(action: string, nodeID: string): Endpoint };
      nodeID: string;
    };
    const endpoint = registry.getActionEndpointByNodeId(action, nodeID);
    const { handler } = endpoint.action;
    endpoint.action.handler = (ctx) => {
      seen.push([action, ctx.meta.traceparent]);
      return handler(ctx);
    };
    return () => (endpoint.action.handler = handler);
  });
  const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  for (const traceparent of [trace, "nonsense"])
    await ada.api.post(`/tasks/${task}/assign`, { assigned_to: ada.id }, { traceparent });
  undo.forEach((put) => put());
  expect(seen).toEqual([
    ["tasks.assign", trace],
    ["users.people", trace],
    ["tasks.assign", undefined],
    ["users.people", undefined],
  ]);
  await ada.api.must("POST", `/tasks/${task}/assign`, { assigned_to: null });
});

describe("the API is served under /api/v1 and at the root", () => {
  test.each(["/auth/me", "/projects", "/tasks"])("GET %s answers the same under both", async (path) => {
    const [root, versioned] = await Promise.all([ada.api.get(path), ada.api.get(`/api/v1${path}`)]);
    expect(root.status).toBe(200);
    expect([versioned.status, versioned.body]).toEqual([root.status, root.body]);
  });

  test.each(["", "/api/v1"])(
    "under '%s', Location carries the prefix and leads to what was made",
    async (prefix) => {
      for (const [path, body] of [
        ["/tasks", { title: "Write it" }],
        ["/projects", { name: "Launch" }],
        [`/projects/${project}/tasks`, { title: "Write it" }],
      ] as const) {
        const created = await ada.api.post(`${prefix}${path}`, body);
        expect(created.status).toBe(201);
        const kind = path === "/projects" ? "projects" : "tasks";
        expect(created.headers.get("location")).toBe(`${prefix}/${kind}/${created.body.id}`);
        const found = await ada.api.get(created.headers.get("location") as string);
        expect([found.status, found.body.id]).toEqual([200, created.body.id]);
      }
    },
  );

  test.each(["", "/api/v1"])(
    "under '%s', a new user and a new member have their Location",
    async (prefix) => {
      const ben = await node.api.person("ben");
      const member = await ada.api.post(`${prefix}/projects/${project}/members`, {
        user_id: ben.id,
        role: "viewer",
      });
      expect(member.headers.get("location")).toBe(`${prefix}/projects/${project}/members/${ben.id}`);
      const comment = await ada.api.post(`${prefix}/tasks/${task}/comments`, { body: "x" });
      const category = await ada.api.post(`${prefix}/categories`, { name: newId(), color: "#000000" });
      for (const { headers, body } of [member, comment, category])
        expect((await ada.api.get(headers.get("location") as string)).body).toEqual(body);
      const user = await node.api.post(`${prefix}/auth/register`, {
        email: `${ben.id}@example.org`,
        username: ben.id.slice(-12),
        password: "correct horse battery",
      });
      expect(user.headers.get("location")).toBe(`${prefix}/users/${user.body.id}`);
    },
  );

  test.each(["", "/api/v1"])(
    "under '%s', a problem's instance is the path as it was asked for",
    async (prefix) => {
      const { body } = await ada.api.get(`${prefix}/tasks/${project}?limit=1`);
      expect(body.instance).toBe(`${prefix}/tasks/${project}`);
    },
  );

  test.each(["/tasks/", "/api/v1/tasks/", "/tasks/?limit=1"])(
    "%s with a trailing slash is the same resource",
    async (path) => {
      expect((await asAda({ path })).body).toMatchObject({ items: expect.any(Array), offset: 0 });
    },
  );

  test("a trailing slash works for writes and for what an id names", async () => {
    const created = await ada.api.post("/tasks/", { title: "Write it" });
    expect(created.status).toBe(201);
    expect((await ada.api.patch(`/tasks/${created.body.id}/`, { title: "Mend it" })).body.title).toBe(
      "Mend it",
    );
    expect((await ada.api.delete(`/api/v1/tasks/${created.body.id}/`)).status).toBe(204);
  });

  test.each([
    "/nowhere",
    "/api",
    "/api/v1",
    "/api/v1/",
    "/api/v1/nowhere",
    "/api/v2/tasks",
    "/api/v1/api/v1/tasks",
    "//tasks",
    "/tasksx",
    "/tasks/a/b/c",
    "/tasks;v=1",
    "/$node/list",
    "/~node/list",
    "/api-gateway/rest",
    "/users.account",
    "/users/account",
  ])("there is nothing at %s: 404", async (path) => {
    const answer = await asAda({ path });
    expectProblem(answer, 404, "not-found");
    expect(answer.body.instance).toBe(path);
  });
});

test("the front door leads to the app", async () => {
  const { status, headers } = await fetch(node.url, { redirect: "manual", headers: { Connection: "close" } });
  expect([status, headers.get("location")]).toEqual([303, "/app"]);
});

describe("methods", () => {
  test.each(["/auth/me", "/projects", "/tasks", "/api/v1/tasks"])(
    "HEAD %s is GET without the body",
    async (path) => {
      const [get, head] = [await asAda({ path }), await asAda({ path, method: "HEAD" })];
      expect([head.status, head.body]).toEqual([200, null]);
      expect(head.headers.get("content-type")).toBe(get.headers.get("content-type"));
    },
  );

  test.each([
    ["an unknown route", 404, "/nowhere"],
    ["a missing task", 404, "/tasks/nothing"],
    ["an unknown parameter", 422, "/tasks?name=x"],
  ])("HEAD of %s is %i without a body", async (_, status, path) => {
    const head = await asAda({ path, method: "HEAD" });
    expect([head.status, head.body]).toEqual([status, null]);
    expect(head.headers.get("content-type")).toMatch(/^application\/problem\+json/);
  });

  const ALLOWED: [path: string, allow: string][] = [
    ["/auth/register", "POST, OPTIONS"],
    ["/auth/me", "GET, HEAD, OPTIONS"],
    ["/projects", "GET, HEAD, POST, OPTIONS"],
    ["/projects/launch/members", "GET, HEAD, POST, OPTIONS"],
    ["/projects/launch/tasks", "GET, HEAD, POST, OPTIONS"],
    ["/tasks", "GET, HEAD, POST, OPTIONS"],
    ["/tasks/1/transitions", "POST, OPTIONS"],
    ["/api/v1/tasks/1/assign/", "POST, OPTIONS"],
  ];

  test.each(ALLOWED)("OPTIONS %s says Allow: %s, without credentials", async (path, allow) => {
    const answer = await send(node.url, { method: "OPTIONS", path });
    expect([answer.status, answer.body]).toEqual([204, null]);
    expect(answer.headers.get("allow")).toBe(allow);
  });

  test.each(ALLOWED)("PURGE %s is 405 with Allow: %s", async (path, allow) => {
    const answer = await asAda({ method: "PURGE", path });
    expectProblem(answer, 405, "method-not-allowed");
    expect(answer.headers.get("allow")).toBe(allow);
  });

  test("OPTIONS of nothing is 404", async () => {
    expectProblem(await send(node.url, { method: "OPTIONS", path: "/nowhere" }), 404, "not-found");
  });

  test("TRACE echoes nothing", async () => {
    expectProblem(await asAda({ method: "TRACE", path: "/tasks" }), 405, "method-not-allowed");
  });
});

describe("CORS", () => {
  const preflight = (
    origin: string,
    asked = "authorization,content-type",
    path = `/tasks/${task}`,
  ): Promise<Answer> =>
    send(node.url, {
      method: "OPTIONS",
      path,
      headers: {
        Origin: origin,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": asked,
      },
    });

  test("a preflight from an origin that is named is allowed", async () => {
    const { status, headers } = await preflight(ORIGIN);
    expect(status).toBe(204);
    expect(headers.get("access-control-allow-origin")).toBe(ORIGIN);
    expect(headers.get("access-control-allow-methods")).toMatch(/\bPATCH\b.*\bDELETE\b/);
    expect(headers.get("access-control-allow-headers")).toBe("authorization,content-type");
    expect(Number(headers.get("access-control-max-age"))).toBeGreaterThan(0);
    expect(headers.get("access-control-allow-credentials")).toBe("true");
    expect(headers.get("vary")).toMatch(/\bOrigin\b/);
  });

  test("a preflight that asks for more names than an answer holds is told none", async () => {
    for (const path of [`/tasks/${task}`, "/openapi.json"]) {
      const { status, headers } = await preflight(ORIGIN, "a,".repeat(7000), path);
      expect([status, headers.get("access-control-allow-headers")]).toEqual([204, null]);
    }
  });

  test.each([
    "https://evil.example",
    "https://app.example.com.evil.example",
    "http://app.example.com",
    "null",
  ])("an origin that is not named (%s) is not allowed", async (origin) => {
    const simple = await asAda({ path: "/auth/me", headers: { Origin: origin } });
    for (const { headers } of [await preflight(origin), simple]) {
      expect(headers.get("access-control-allow-origin")).toBeNull();
      expect(headers.get("access-control-allow-credentials")).toBeNull();
      expect(headers.get("vary")).toMatch(/\bOrigin\b/);
    }
  });

  test.each([
    ["a success", 200, "/auth/me"],
    ["a missing task", 404, "/tasks/x"],
    ["an unknown route", 404, "/nowhere"],
    ["a path that doesn't decode", 400, "/tasks/%ZZ"],
    ["a bad parameter", 422, "/tasks?limit=0"],
  ])("%s (%i) can be read by the web page that asked", async (_, status, path) => {
    const answer = await asAda({ path, headers: { Origin: ORIGIN } });
    expect(answer.status).toBe(status);
    expect(answer.headers.get("access-control-allow-origin")).toBe(ORIGIN);
    expect(answer.headers.get("access-control-allow-credentials")).toBe("true");
    const exposed = answer.headers.get("access-control-expose-headers")?.split(/, */);
    expect(exposed).toEqual(expect.arrayContaining(["Location", "Retry-After", "X-Request-ID"]));
  });

  test("without an origin there are no CORS headers to mislead caches", async () => {
    expect((await asAda({ path: "/auth/me" })).headers.get("access-control-allow-origin")).toBeNull();
  });

  test("CORS_ORIGINS=* allows all origins, and cookies those alone that are named beside it", async () => {
    const open = await startTestNode({ CORS_ORIGINS: ["*", ORIGIN] });
    try {
      for (const [origin, told, credentials] of [
        ["https://any.example", "*", null],
        [ORIGIN, ORIGIN, "true"],
      ] as const) {
        const { status, headers } = await send(open.url, { path: "/auth/me", headers: { Origin: origin } });
        expect([status, headers.get("access-control-allow-origin")]).toEqual([401, told]);
        expect(headers.get("access-control-allow-credentials")).toBe(credentials);
        expect(headers.get("vary")).toMatch(/\bOrigin\b/);
      }
    } finally {
      await open.stop();
    }
  });
});

describe("bodies", () => {
  test.each([
    ["cut off", '{"title":'],
    ["with single quotes", "{'title':'x'}"],
    ["followed by more", '{"title":"x"} {}'],
    ["of spaces", "  "],
  ])("JSON %s is 400", async (_, body) => {
    expectProblem(await postTask(body), 400, "malformed-request");
  });

  test.each(['[{"title":"x"}]', '"title"', "42", "true", "null"])(
    "%s is JSON but no object: 422",
    async (body) => {
      expectProblem(await postTask(body), 422, "validation-failed", ["#"]);
    },
  );

  test("no body at all lacks the required field", async () => {
    expectProblem(await asAda({ method: "POST", path: "/tasks" }), 422, "validation-failed", ["#/title"]);
  });

  test("1 MiB passes, 2 MiB is 413, sent whole, in chunks or zipped", async () => {
    const padded = (bytes: number): string => JSON.stringify({ title: "x".padEnd(bytes - 12) });
    expect((await postTask(padded(1024 * 1024))).status).toBe(201);
    const huge = padded(2 * 1024 * 1024);
    expectProblem(await postTask(huge), 413, "payload-too-large");
    expectProblem(
      await postTask(huge, { ...JSON_TYPE, "Transfer-Encoding": "chunked" }),
      413,
      "payload-too-large",
    );
    expectProblem(
      await postTask(gzipSync(huge), { ...JSON_TYPE, "Content-Encoding": "gzip" }),
      413,
      "payload-too-large",
    );
  });

  test("2 MiB from nobody is 401 before it is read", async () => {
    const raw = { method: "POST", path: "/tasks", headers: JSON_TYPE, body: Buffer.alloc(2 * 1024 * 1024) };
    expectProblem(await send(node.url, raw), 401, "unauthenticated");
  });

  test.each([
    "application/json",
    "application/json; charset=utf-8",
    'APPLICATION/JSON;charset="UTF-8"',
    "application/merge-patch+json",
  ])("%s is taken", async (type) => {
    expect((await postTask('{"title":"x"}', { "Content-Type": type })).status).toBe(201);
  });

  test.each([
    ["no content type", {}],
    ["text/plain", { "Content-Type": "text/plain" }],
    ["a form", { "Content-Type": "application/x-www-form-urlencoded" }],
    ["text/json", { "Content-Type": "text/json" }],
    ["application/jsonp", { "Content-Type": "application/jsonp" }],
    ["latin-1", { "Content-Type": "application/json; charset=iso-8859-1" }],
    ["an unknown encoding", { ...JSON_TYPE, "Content-Encoding": "lzma" }],
  ])("%s is 415", async (_, headers) => {
    expectProblem(await postTask('{"title":"x"}', headers), 415, "unsupported-media-type");
  });

  test("gzip is taken", async () => {
    const answer = await postTask(gzipSync('{"title":"zipped"}'), {
      ...JSON_TYPE,
      "Content-Encoding": "gzip",
    });
    expect([answer.status, answer.body.title]).toEqual([201, "zipped"]);
  });

  test.each(["gzip", "deflate", "br"])("what is not %s although it says so is 400", async (encoding) => {
    const answer = await postTask('{"title":"x"}', { ...JSON_TYPE, "Content-Encoding": encoding });
    expectProblem(answer, 400, "malformed-request");
  });

  test("bytes that are not UTF-8 are 400, not stored as question marks", async () => {
    const body = Buffer.concat([Buffer.from('{"title":"'), Buffer.from([0xff, 0xfe]), Buffer.from('"}')]);
    expectProblem(await postTask(body), 400, "malformed-request");
  });

  test("JSON nested 20,000 deep is the client's fault", async () => {
    const answer = await postTask(`{"title":${"[".repeat(20_000)}${"]".repeat(20_000)}}`);
    expectProblem(answer, 400, "malformed-request");
    expect(answer.body.detail).toBe("The body is nested deeper than 32 levels");
  });

  test("no body is no body, however it is framed", async () => {
    const frames: Record<string, string>[] = [
      {},
      { "Content-Length": "0" },
      { "Transfer-Encoding": "chunked" },
    ];
    for (const headers of frames) {
      const { id } = await ada.api.must("POST", "/tasks", { title: "x" });
      const of = { path: `/tasks/${id}`, headers };
      expect((await asAda({ ...of, method: "DELETE" })).status).toBe(204);
      expect((await asAda({ ...of, method: "POST", path: `/tasks/${id}/restore` })).status).toBe(200);
      // Where one is needed it is missed, and not its type.
      expectProblem(await asAda({ ...of, method: "POST", path: "/tasks" }), 422, "validation-failed", [
        "#/title",
      ]);
    }
  });

  test("a body in chunks is judged by its type and read whole", async () => {
    const chunked = { "Transfer-Encoding": "chunked" };
    const body = JSON.stringify({ title: "x", description: "y".repeat(9_000) });
    expect((await postTask(body, { ...JSON_TYPE, ...chunked })).body.description).toHaveLength(9_000);
    expectProblem(await postTask(body, chunked), 415, "unsupported-media-type");
  });

  test("GET with a body ignores it", async () => {
    const answer = await asAda({ path: "/auth/me", headers: JSON_TYPE, body: '{"id":1}' });
    expect([answer.status, answer.body.id]).toEqual([200, ada.id]);
  });
});

describe("fields and parameters", () => {
  const names = (count: number) => Array.from({ length: count }, (_, at) => `field_${at}`);

  test("of a query are 100 at the most, repeats included, on any path that reads them", async () => {
    const query = (count: number, name = (at: number) => `p${at}`) =>
      Array.from({ length: count }, (_, at) => `${name(at)}=1`).join("&");
    for (const path of ["/tasks", "/api/v1/users", `/tasks/${newId()}`]) {
      const many = await asAda({ path: `${path}?${query(101)}` });
      expectProblem(many, 422, "validation-failed", ["?"]);
      expect(many.body.detail).toBe("A query can have at most 100 parameters.");
      const repeated = await asAda({ path: `${path}?${query(101, () => "limit")}` });
      expectProblem(repeated, 422, "validation-failed", ["?"]);
    }
    expectProblem(await asAda({ path: `/tasks?${query(100, () => "limit")}` }), 422, "validation-failed", [
      "?limit",
    ]);
  });

  test("that are wrong are listed up to the 20th", async () => {
    const told = names(20);
    const query = await asAda({ path: `/tasks?${names(30).join("=1&")}=1` });
    expectProblem(
      query,
      422,
      "validation-failed",
      told.map((name) => `?${name}`),
    );
    const body = await ada.api.post("/tasks", {
      title: "x",
      ...Object.fromEntries(names(150).map((name) => [name, 1])),
    });
    expectProblem(
      body,
      422,
      "validation-failed",
      told.map((name) => `#/${name}`),
    );
    for (const answer of [query, body]) expect(answer.body.detail).toMatch(/ There are more errors\.$/);
  });

  test("of a body are 200 a level and 10,000 in all at the most", async () => {
    const wide = Object.fromEntries(names(201).map((name) => [name, 1]));
    const tall = Array.from({ length: 200 }, () => Array.from({ length: 60 }, () => 1));
    for (const [body, detail] of [
      [{ title: "x", ...wide }, "An object or an array can have at most 200 entries."],
      [{ title: "x", inside: wide }, "An object or an array can have at most 200 entries."],
      [
        { title: Array.from({ length: 201 }, () => 1) },
        "An object or an array can have at most 200 entries.",
      ],
      [{ title: tall }, "A body can have at most 10000 values."],
    ] as const) {
      const answer = await ada.api.post("/tasks", body);
      expectProblem(answer, 422, "validation-failed", ["#"]);
      expect(answer.body.detail).toBe(detail);
    }
    // What stands in a text is no structure.
    const title = `"${"[{,:".repeat(40)}\\`;
    const answer = await ada.api.post("/tasks", { title, description: "],".repeat(5000) });
    expect([answer.status, answer.body.title]).toEqual([201, title]);
  });

  test.each([
    ["of letters", "x".repeat(500_000)],
    ["of what separates names in a list of them", ", ".repeat(250_000)],
    ["of control characters", "\u0001".repeat(100_000)],
  ])("a name %s, however long, is told by its beginning", async (_what, name) => {
    const raw = await asAda({
      method: "POST",
      path: "/tasks",
      headers: JSON_TYPE,
      body: JSON.stringify({ title: "x", [name]: 1 }),
    });
    expect([raw.status, raw.body.errors.length]).toEqual([422, 1]);
    expect(raw.body.errors[0].code).toBe("unknown");
    expect(JSON.stringify(raw.body).length).toBeLessThan(2000);
    const query = await asAda({ path: `/tasks?${encodeURIComponent(name).slice(0, 9999)}=1` });
    expect([query.status, query.body.errors.length]).toEqual([422, 1]);
    expect(JSON.stringify(query.body).length).toBeLessThan(2000);
  });

  test("make no header that clients refuse: a long query gets no Link, and the cursor in the body", async () => {
    for (const title of ["one", "two"]) await ada.api.must("POST", "/tasks", { title });
    const path = (repeats: number) => `/tasks?limit=1&status=pending${",pending".repeat(repeats)}`;
    const [short, long] = [await ada.api.get(path(10)), await ada.api.get(path(1800))];
    expect([short.status, long.status]).toEqual([200, 200]);
    expect(short.headers.get("link")).toMatch(/; rel="next"$/);
    expect(long.headers.get("link")).toBeNull();
    expect(long.body.next_cursor).toEqual(expect.any(String));
  });

  test("an unknown body field is 422 and nothing happens", async () => {
    const before = await countTasks();
    const answer = await ada.api.post("/tasks", { title: "x", name: "y" });
    expectProblem(answer, 422, "validation-failed", ["#/name"]);
    expect(await countTasks()).toBe(before);
  });

  test.each(["id", "created_by", "version", "completed_at", "deleted_at", "updated_at", "role", "$$strict"])(
    "nobody sets %s by guessing",
    async (field) => {
      const answer = await ada.api.post("/tasks", { title: "x", [field]: ada.id });
      expectProblem(answer, 422, "validation-failed", [`#/${field}`]);
    },
  );

  test.each(["__proto__", "constructor", "prototype", "toString", "hasOwnProperty"])(
    "a body's %s is a field like any other: unknown",
    async (field) => {
      const answer = await postTask(`{"title":"x","${field}":{"polluted":true}}`);
      expectProblem(answer, 422, "validation-failed", [`#/${field}`]);
      expect("polluted" in {}).toBe(false);
    },
  );

  test("all that is wrong is told at once, each with its pointer", async () => {
    const answer = await ada.api.post("/tasks", { title: "", priority: "huge", due_date: "soon" });
    expectProblem(answer, 422, "validation-failed", ["#/title", "#/priority", "#/due_date"]);
  });

  test("names with slashes and tildes are escaped in their pointer (RFC 6901 §3)", async () => {
    const answer = await ada.api.post("/tasks", { title: "x", "a/b~c": 1 });
    expectProblem(answer, 422, "validation-failed", ["#/a~1b~0c"]);
  });

  test.each([
    ["?name=x", "?name"],
    ["?Limit=1", "?Limit"],
    ["?limit[]=1", "?limit[]"],
    ["?limit[max]=1", "?limit[max]"],
    ["?constructor=1", "?constructor"],
    ["?hasOwnProperty=1", "?hasOwnProperty"],
    ["?__proto__=1", "?__proto__"],
    ["?__proto__[polluted]=1", "?__proto__[polluted]"],
  ])("an unknown query parameter, %s, is 422", async (query, pointer) => {
    expectProblem(await asAda({ path: `/tasks${query}` }), 422, "validation-failed", [pointer]);
    expect("polluted" in {}).toBe(false);
  });

  test.each([
    "limit=1&limit=2",
    "offset=0&offset=0",
    "status=pending&status=completed",
    "project_id=&project_id=",
  ])("a repeated parameter, %s, is 422", async (query) => {
    const pointer = `?${query.split("=")[0]}`;
    expectProblem(await asAda({ path: `/tasks?${query}` }), 422, "validation-failed", [pointer]);
  });

  test.each([
    "limit=",
    "limit=0",
    "limit=101",
    "limit=-1",
    "limit=1.5",
    "limit=ten",
    "limit=NaN",
    "offset=-1",
    "offset=1e99",
    "offset=10001",
    "offset=x",
    "limit=0x10",
    "limit=1e1",
    "limit=%2010",
    "limit=%2B10",
    "limit=10.",
    "offset=%20",
    "overdue=1",
    "overdue=on",
    "overdue=TRUE",
    "include_deleted=0",
  ])("?%s is 422", async (query) => {
    const pointer = `?${query.split("=")[0]}`;
    expectProblem(await asAda({ path: `/tasks?${query}` }), 422, "validation-failed", [pointer]);
  });

  test("a parameter that doesn't decode is 4xx", async () => {
    const answer = await asAda({ path: "/tasks?status=%ZZ" });
    expect([400, 422]).toContain(answer.status);
  });

  test("a write takes no query parameters, alone or beside a body", async () => {
    const before = await countTasks();
    expectProblem(await ada.api.post("/tasks?title=x"), 422, "validation-failed", ["?title"]);
    expectProblem(await ada.api.post("/tasks?title=x", { title: "y" }), 422, "validation-failed", ["?title"]);
    expectProblem(await ada.api.patch(`/tasks/${task}?title=x`, {}), 422, "validation-failed", ["?title"]);
    expectProblem(await ada.api.delete(`/tasks/${task}?force=1`), 422, "validation-failed", ["?force"]);
    expect(await countTasks()).toBe(before);
    expect((await ada.api.get(`/tasks/${task}`)).body.title).toBe("Write it");
  });

  test("?role=admin can't speak for a registration", async () => {
    const body = { email: "mallory@example.com", username: "mallory", password: "correct horse battery" };
    expectProblem(await node.api.post("/auth/register?role=admin", body), 422, "validation-failed", [
      "?role",
    ]);
    expect((await node.api.post("/auth/register", body)).body.role).toBe("user");
  });

  test("neither body nor query can speak for the path", async () => {
    const other = await ada.api.must("POST", "/tasks", { title: "Other" });
    const elsewhere = await ada.api.must("POST", "/projects", { name: "Elsewhere" });
    const refused = [
      [await ada.api.patch(`/tasks/${task}`, { id: other.id, title: "x" }), "#/id"],
      [await ada.api.post(`/tasks/${task}/transitions`, { id: other.id, to: "completed" }), "#/id"],
      [await ada.api.delete(`/tasks/${task}?id=${other.id}`), "?id"],
      [await ada.api.get(`/tasks/${task}?id=${other.id}`), "?id"],
      [await ada.api.post(`/projects/${project}/tasks`, { project: elsewhere.id, title: "x" }), "#/project"],
      [await ada.api.get(`/projects/${project}/tasks?project=${elsewhere.id}`), "?project"],
    ] as const;
    for (const [answer, pointer] of refused) expectProblem(answer, 422, "validation-failed", [pointer]);
    expect((await ada.api.get(`/tasks/${other.id}`)).body).toEqual(
      expect.objectContaining({ title: "Other", status: "pending", version: 1 }),
    );
    expect((await ada.api.get(`/projects/${elsewhere.id}/tasks`)).body.total).toBe(0);
  });
});

test("a parameter without a value is 422, and not 0; but an empty cursor begins", async () => {
  for (const name of ["limit", "offset", "sort", "status", "overdue", "due_date_from", "q"])
    expectProblem(await ada.api.get(`/tasks?${name}=`), 422, "validation-failed", [`?${name}`]);
  expectProblem(await ada.api.get(`/projects/${project}/events?after=`), 422, "validation-failed", [
    "?after",
  ]);
  for (const path of ["/users?q=", "/projects?q=", "/users?q=%20", "/projects?q=%E2%80%8B"])
    expectProblem(await ada.api.get(path), 422, "validation-failed", ["?q"]);
  expect((await ada.api.get("/tasks?cursor=")).status).toBe(200);
});

test("a question mark in a query is a part of it", async () => {
  const { body } = await ada.api.get("/tasks?q=why?&limit=1");
  expect(body.limit).toBe(1);
  expectProblem(await ada.api.get("/tasks?q=why?&bogus=1"), 422, "validation-failed", ["?bogus"]);
});

describe("text in NFC", () => {
  const [composed, decomposed] = ["Caf\u00e9", "Cafe\u0301"];

  test("is one name and one search, composed or not", async () => {
    const eve = await node.api.person("eve");
    const made = await eve.api.must("POST", "/categories", { name: decomposed, color: "#000000" });
    expect(made.name).toBe(composed);
    const again = await eve.api.post("/categories", { name: composed, color: "#000000" });
    expectProblem(again, 409, "already-exists", ["#/name"]);
    await eve.api.must("POST", "/projects", { name: decomposed });
    await eve.api.must("POST", "/tasks", { title: decomposed, description: decomposed });
    await eve.api.must("PATCH", `/users/${eve.id}`, { first_name: decomposed });
    for (const q of [composed, decomposed])
      for (const path of ["/tasks", "/projects", "/users"]) {
        const { items } = await eve.api.must("GET", `${path}?q=${encodeURIComponent(q)}`);
        expect([path, items.length]).toEqual([path, 1]);
      }
    const bulk = await eve.api.must("POST", "/tasks/bulk", {
      operations: [{ op: "create", title: decomposed }],
    });
    expect(bulk.results[0].task.title).toBe(composed);
  });

  test("what was written before follows by its migration", async () => {
    const eve = await node.api.person("eve");
    const old = await eve.api.must("POST", "/tasks", { title: "old" });
    await eve.api.must("POST", "/categories", { name: composed, color: "#000000" });
    await eve.api.must("POST", "/categories", { name: "second", color: "#000000" });
    const migration = await readFile(new URL("../../migrations/0010-nfc.sql", import.meta.url), "utf8");
    const db = await openDatabase(node);
    try {
      await db.query("UPDATE tasks.tasks SET title = $2 WHERE id = $1", [old.id, decomposed]);
      const rename = "UPDATE tasks.categories SET name = $3 WHERE user_id = $1 AND name = $2";
      await db.query(rename, [eve.id, "second", `${decomposed} 2`]);
      await db.query(migration);
    } finally {
      await db.end();
    }
    const { items } = await eve.api.must("GET", `/tasks?q=${encodeURIComponent(composed)}`);
    expect(items).toMatchObject([{ id: old.id, title: composed }]);
    const categories = await eve.api.must("GET", "/categories");
    expect(categories.items.map(({ name }: Wire) => name).sort()).toEqual([composed, `${composed} 2`]);
  });

  test("nothing but invisible characters is empty", async () => {
    for (const title of ["\u200b", "\u2060\ufeff", "\u202e \u00ad"])
      expectProblem(await ada.api.post("/tasks", { title }), 422, "validation-failed", ["#/title"]);
    expectProblem(await ada.api.post("/projects", { name: "\u200b" }), 422, "validation-failed", ["#/name"]);
    expectProblem(
      await ada.api.post(`/tasks/${task}/comments`, { body: "\u3164" }),
      422,
      "validation-failed",
      ["#/body"],
    );
  });
});

test("a slug that the server made is taken back", async () => {
  const made = await ada.api.must("POST", "/projects", { name: "Q" });
  expect(made.slug).toBe("q");
  const { name, slug } = made;
  const kept = await ada.api.put(`/projects/${made.id}`, { name, slug, description: "one letter" });
  expect([kept.status, kept.body.slug]).toEqual([200, "q"]);
});

describe("text that can't be stored", () => {
  const FIELDS: [path: string, field: string, body: Record<string, string>][] = [
    ["/tasks", "title", {}],
    ["/tasks", "description", { title: "x" }],
    ["/projects", "name", {}],
    ["/projects", "description", { name: "x" }],
    [
      "/auth/register",
      "first_name",
      { email: "nul@example.com", username: "nul", password: "correct horse" },
    ],
  ];

  test.each(FIELDS)("POST %s: U+0000 in %s is 422", async (path, field, body) => {
    const answer = await ada.api.post(path, { ...body, [field]: "a\0b" });
    expectProblem(answer, 422, "validation-failed", [`#/${field}`]);
  });

  test.each(FIELDS)("POST %s: half a surrogate pair in %s is 422", async (path, field, body) => {
    for (const text of ["a\ud800b", "\udc00"])
      expectProblem(await ada.api.post(path, { ...body, [field]: text }), 422, "validation-failed", [
        `#/${field}`,
      ]);
  });

  test("all other characters come back as they were sent", async () => {
    const text = "é 日本 🐘 \u202e \ufffe \\u0000 \\ \" ' $1 {field} <b> \u0001 \t \n";
    const created = await ada.api.must("POST", "/tasks", { title: "x", description: text });
    expect((await ada.api.get(`/tasks/${created.id}`)).body.description).toBe(text);
  });
});

describe("paths", () => {
  test.each(["/tasks/%ZZ", "/tasks/%", "/projects/%E0%A4%A", "/projects/%ED%A0%80", "/projects/%ff/members"])(
    "%s does not decode: 400",
    async (path) => {
      for (const method of ["GET", "PATCH", "OPTIONS"])
        expectProblem(await asAda({ path, method }), 400, "malformed-request");
    },
  );

  const NAMING_NOTHING = [
    "/tasks/%00",
    "/tasks/1",
    "/tasks/..%2fprojects",
    "/tasks/00000000-0000-0000-0000-000000000000",
    "/tasks/'%20OR%201=1",
    "/projects/%00",
    "/projects/a%00b/members",
    "/projects/a%00b/tasks",
    "/projects/no-such-project",
    "/projects/%F0%9F%90%98",
    `/projects/${"a".repeat(101)}`,
    `/projects/${"b".repeat(8000)}/tasks`,
  ];

  test.each(NAMING_NOTHING.map((path) => [path.slice(0, 40), path]))(
    "GET %s names nothing: 404",
    async (_, path) => {
      expectProblem(await asAda({ path }), 404, "not-found");
    },
  );

  test("a URL of 20,000 characters is refused as a problem", async () => {
    const { status, headers } = await asAda({ path: `/projects/${"a".repeat(20_000)}` });
    expect([414, 431]).toContain(status);
    expect(headers.get("content-type")).toMatch(/^application\/problem\+json/);
  });

  test("an id that can't be one is 404, whatever else is wrong", async () => {
    expectProblem(await ada.api.patch("/tasks/nothing", { title: "" }), 404, "not-found");
    expectProblem(await ada.api.post("/tasks/nothing/transitions", {}), 404, "not-found");
    expectProblem(await ada.api.get(`/projects/${"a".repeat(101)}/tasks?limit=0`), 404, "not-found");
  });
});

describe("a 404 says what is missing, the first part of the path that is not there:", () => {
  const NOBODY = newId();
  test.each<[method: string, path: string, type: string, id: string, body?: object]>([
    ["GET", "/tasks/{nobody}", "task", "{nobody}"],
    ["PATCH", "/tasks/nothing", "task", "nothing", { title: "x" }],
    ["GET", "/tasks/{nobody}/comments/{comment}", "task", "{nobody}"],
    ["GET", "/tasks/{nobody}/comments/nothing", "task", "{nobody}"],
    ["GET", "/tasks/{task}/comments/{nobody}", "comment", "{nobody}"],
    ["DELETE", "/tasks/{task}/comments/nothing", "comment", "nothing"],
    ["PATCH", "/tasks/{task}/comments/{nobody}", "comment", "{nobody}", { body: "x" }],
    ["POST", "/tasks/{task}/restore", "task", "{task}"],
    ["POST", "/tasks", "project", "{nobody}", { title: "x", project_id: NOBODY }],
    ["GET", "/projects/no-such-project", "project", "no-such-project"],
    ["DELETE", "/projects/{nobody}", "project", "{nobody}"],
    ["POST", "/projects/{nobody}/restore", "project", "{nobody}"],
    ["GET", "/projects/{nobody}/tasks", "project", "{nobody}"],
    ["GET", "/projects/no-such-project/events", "project", "no-such-project"],
    ["GET", "/projects/{nobody}/members/nothing", "project", "{nobody}"],
    ["GET", "/projects/{project}/members/{nobody}", "member", "{nobody}"],
    ["GET", "/projects/{project}/members/nothing", "member", "nothing"],
    ["PATCH", "/projects/{project}/members/nothing", "member", "nothing", { role: "viewer" }],
    ["DELETE", "/projects/{project}/members/{nobody}", "member", "{nobody}"],
    ["GET", "/users/{nobody}", "user", "{nobody}"],
    ["PATCH", "/users/nothing", "user", "nothing", { username: "somebody" }],
    ["DELETE", "/categories/{nobody}", "category", "{nobody}"],
    ["DELETE", "/auth/sessions/{nobody}", "session", "{nobody}"],
    ["DELETE", "/auth/tokens/{nobody}", "token", "{nobody}"],
  ])("%s %s: %s %s", async (method, path, type, named, ...[body]) => {
    const ids: Record<string, string> = { nobody: NOBODY, project, task, comment };
    const fill = (text: string) => text.replace(/\{(\w+)\}/g, (_, name: string) => ids[name] as string);
    const id = fill(named);
    const answer = await ada.api.request(method, fill(path), body);
    expectProblem(answer, 404, "not-found");
    expect(answer.body.resource).toEqual({ type, id });
    expect(answer.body.detail).toMatch(new RegExp(`^There is no (personal access )?${type} ${id}$`));
  });

  test("what exists and may not be known of looks like what does not exist, but for the id", async () => {
    const stranger = await node.api.person("stranger");
    const plain = async (path: string, id: string) => {
      const { status, body, headers } = await stranger.api.get(path.replace("{}", id));
      const { request_id: _id, ...rest } = body;
      const kept = [...headers].filter(
        ([name]) => !/^(x-request-id|x-process-time|date|content-length)$/.test(name),
      );
      return JSON.parse(JSON.stringify([status, rest, kept]).replaceAll(id, "…"));
    };
    for (const [path, hidden] of [
      ["/tasks/{}", task],
      ["/tasks/{}/comments", task],
      ["/projects/{}", project],
      ["/projects/{}/tasks", project],
      ["/categories/{}", category],
    ] as const)
      expect(await plain(path, hidden)).toEqual(await plain(path, newId()));
  });

  test("where no resource has the path there is none to name", async () => {
    const { body } = await ada.api.get("/nowhere");
    expect([body.resource, body.detail]).toEqual([undefined, "No resource has this path"]);
  });

  test("an operation of a bulk request says it too", async () => {
    const operations = [
      { op: "delete", id: NOBODY },
      { op: "create", title: "x", project_id: NOBODY },
    ];
    const { body } = await ada.api.post("/tasks/bulk", { operations });
    expect(body.results.map(({ problem }: Wire) => problem.resource)).toEqual([
      { type: "task", id: NOBODY },
      { type: "project", id: NOBODY },
    ]);
  });
});

describe("HTTP itself", () => {
  test("Expect: 100-continue is honoured", async () => {
    expect((await postTask('{"title":"x"}', { ...JSON_TYPE, Expect: "100-continue" })).status).toBe(201);
  });

  test.each<[what: string, status: number, lines: string[]]>([
    ["another Expect", 417, ["GET /tasks HTTP/1.1", "Host: x", "Expect: a miracle"]],
    ["no Host", 400, ["GET /tasks HTTP/1.1"]],
    ["a request line that is none", 400, ["nonsense"]],
    ["a Content-Length that is no number", 400, ["POST /tasks HTTP/1.1", "Host: x", "Content-Length: ten"]],
    ["headers above 16 KiB", 431, ["GET /tasks HTTP/1.1", "Host: x", `X-Long: ${"x".repeat(20_000)}`]],
  ])("%s is answered by a problem (%i), too", async (_, status, lines) => {
    const answer = await dial(node.url, lines);
    expect(answer.status).toBe(status);
    expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
    expect(answer.body).toMatchObject({ status, request_id: answer.headers.get("x-request-id") });
    expectCommonHeaders(answer);
  });

  test("the absolute form of a request's target is accepted (RFC 9112 §3.2.2)", async () => {
    const answer = await asAda({ path: "http://api.example.com/auth/me" });
    expect([answer.status, answer.body.id]).toEqual([200, ada.id]);
  });

  test.each(["h2c", "websocket"])(
    "an offer to upgrade to %s, which isn't spoken here, is passed over",
    async (protocol) => {
      const answer = await asAda({ path: "/auth/me", headers: { Connection: "Upgrade", Upgrade: protocol } });
      expect([answer.status, answer.body.id]).toEqual([200, ada.id]);
    },
  );

  test.each(["application/json", "*/*", "application/*;q=0.5", "text/html, application/json;q=0.1"])(
    "Accept: %s gets JSON",
    async (accept) => {
      expect((await asAda({ path: "/auth/me", headers: { Accept: accept } })).status).toBe(200);
    },
  );

  test("If-None-Match: * runs no POST only to say 304", async () => {
    const answer = await postTask('{"title":"x"}', { ...JSON_TYPE, "If-None-Match": "*" });
    expect(answer.status).toBe(201);
  });
});

const TASK = {
  title: "N",
  description: "d",
  status: "pending",
  priority: "low",
  category_id: null,
  assigned_to: null,
  due_date: null,
};
const PROJECT = { name: "N", description: "d", slug: "nonsense" };
const CATEGORY = { name: "N", color: "#000000" };

/** Of each route, a request that is right but for what the test puts into it. */
const RIGHT: Record<string, object> = {
  "POST /auth/register": {
    email: "n@example.com",
    username: "nobody",
    password: "correct horse",
    first_name: "N",
    last_name: "N",
  },
  "POST /auth/login": { login: "nobody", password: "12345678" },
  "POST /auth/refresh": { refresh_token: "x" },
  "PATCH /users/:id": {
    email: "n@example.com",
    username: "nobody",
    first_name: "N",
    last_name: "N",
    role: "user",
    is_active: true,
  },
  "POST /auth/tokens": { name: "N", scope: "read", expires_at: null },
  "POST /projects": PROJECT,
  "PUT /projects/:project": { ...PROJECT, status: "active" },
  "PATCH /projects/:project": { ...PROJECT, status: "active" },
  "POST /projects/:project/members": { user_id: "x", role: "viewer" },
  "PATCH /projects/:project/members/:user_id": { role: "viewer" },
  "POST /projects/:project/tasks": TASK,
  "POST /tasks": { ...TASK, project_id: null },
  "POST /tasks/bulk": { operations: [{ op: "create", title: "N" }] },
  "POST /sync": { cursors: {}, limit: 1 },
  "PUT /tasks/:id": TASK,
  "PATCH /tasks/:id": TASK,
  "POST /tasks/:id/assign": { assigned_to: null },
  "POST /tasks/:id/transitions": { to: "pending" },
  "POST /tasks/:id/move": { status: "pending", before: newId() },
  "POST /tasks/:id/comments": { body: "N" },
  "PATCH /tasks/:id/comments/:comment_id": { body: "N" },
  "POST /categories": CATEGORY,
  "PATCH /categories/:id": CATEGORY,
};
const NONSENSE = [
  null,
  true,
  1e308,
  "",
  "\0",
  "\ud800",
  "0000-01-01T00:00:00Z",
  "9999-12-31T23:59:59-01:00",
  [],
  { $gt: "" },
];
const NONSENSE_QUERIES = [
  "limit=1e400",
  "offset=999999999",
  "status=%00",
  "project_id=%00",
  "assigned_to=%00",
  "q=%00",
  "q=%22%27%3A*%26%7C!()%5C",
  "q=%F0%9F%90%98",
  "sort=%00",
  "sort=-rank,rank",
  "cursor=%00",
  "cursor=bnVsbA",
  "after=1e400",
  "after=9007199254740991",
  "due_date_from=9999-12-31T23:59:59-01:00",
  "updated_since=0001-01-01T00:00:00Z",
  "overdue=%00",
  "include_deleted=1",
  "=",
  "&&&",
  "a[b][c]=1",
];

describe("nonsense is the client's fault: no route answers 5xx", () => {
  const paths = (path: string): string[] => {
    const known = path
      .replace("/categories/:id", `/categories/${category}`)
      .replace("/users/:id", `/users/${ada.id}`)
      .replace(":project", project)
      .replace(":id", task)
      .replace(":user_id", ada.id)
      .replace(":comment_id", comment);
    const wrong = ["%00", "'", "-1", "x".repeat(200)].map((part) => path.replace(/:\w+/g, part));
    return path.includes(":") ? [known, ...wrong] : [known];
  };

  test.each(ROUTES.filter(({ path }) => path !== "/auth/logout").map(({ method, path }) => [method, path]))(
    "%s %s",
    async (method, path) => {
      const right = RIGHT[`${method} ${path}`] ?? {};
      const bodies = Object.keys(right).flatMap((field) =>
        NONSENSE.map((value) => ({ ...right, [field]: value })),
      );
      const requests: [path: string, body?: unknown][] =
        method === "GET"
          ? paths(path).flatMap((one) => NONSENSE_QUERIES.map((query): [string] => [`${one}?${query}`]))
          : [
              ...bodies.map((body): [string, unknown] => [paths(path)[0] as string, body]),
              ...paths(path)
                .slice(1)
                .map((one): [string, unknown] => [one, right]),
            ];
      // A response of server-sent events has no end; HEAD asks for the same without the body.
      const verb = path.endsWith("/events/stream") ? "HEAD" : method;
      const failed: unknown[] = [];
      for (const [one, body] of requests) {
        const { status } = await ada.api.request(verb, one, body);
        if (status >= 500) failed.push([status, one, body]);
      }
      expect(failed).toEqual([]);
    },
  );
});
