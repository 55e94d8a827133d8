import { describe, expect, test } from "@jest/globals";
import FastestValidator from "fastest-validator";
import { Errors } from "moleculer";
import { type FieldError, PROBLEMS, Problem, type ProblemCode } from "../../core/errors.ts";
import {
  bodyPointer,
  instanceOf,
  resourcesIn,
  type Origin,
  queryPointer,
  toProblem,
} from "../../services/api-gateway/problem.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";

const POST: Origin = { method: "POST", path: [] };
const RETRY = { headers: { "Retry-After": "1" } };

/** An error as it comes over the broker or out of a library: a name, and no class that we could ask for. */
const error = (name: string, more: object = {}) =>
  Object.assign(new Error("secret of the server"), { name }, more);

describe("an error that becomes a problem of its own:", () => {
  test.each<[string, unknown, ProblemCode]>([
    [
      "a body that does not parse",
      error("SyntaxError", { type: "entity.parse.failed" }),
      "malformed-request",
    ],
    ["a body that fails its check", error("Error", { type: "entity.verify.failed" }), "malformed-request"],
    ["a body that ended early", error("BadRequestError", { type: "request.aborted" }), "malformed-request"],
    ["a body of another length", error("Error", { type: "request.size.invalid" }), "malformed-request"],
    ["a body that is too large", error("Error", { type: "entity.too.large" }), "payload-too-large"],
    [
      "a charset that we don't read",
      error("Error", { type: "charset.unsupported" }),
      "unsupported-media-type",
    ],
    [
      "an encoding that we don't read",
      error("Error", { type: "encoding.unsupported" }),
      "unsupported-media-type",
    ],
  ])("%s", (_what, thrown, code) => {
    const problem = toProblem(thrown, POST);
    expect(problem).toMatchObject({ type: code, code: PROBLEMS[code].status });
    expect(problem.message).not.toMatch(/secret/);
  });

  const action = "tasks.get";
  const lost = { action, nodeID: "node-1" };
  test.each<[string, Error, ProblemCode]>([
    ["no node offers the action", new Errors.ServiceNotFoundError(lost), "service-unavailable"],
    ["no node is there for it", new Errors.ServiceNotAvailableError(lost), "service-unavailable"],
    ["its node died", new Errors.RequestRejectedError(lost), "service-unavailable"],
    ["the broker is disconnected", error("BrokerDisconnectedError", { code: 502 }), "service-unavailable"],
    ["its queue is full", new Errors.QueueIsFullError({ ...lost, size: 1, limit: 1 } as never), "overloaded"],
    ["it did not answer in time", new Errors.RequestTimeoutError(lost), "timeout"],
    ["there was no time left for it", new Errors.RequestSkippedError(lost), "timeout"],
  ])("%s", (_what, thrown, code) => {
    const problem = toProblem(thrown, POST);
    expect(problem).toMatchObject({ type: code, code: PROBLEMS[code].status, data: RETRY });
    expect(problem.message).not.toMatch(/secret|tasks|node-1/);
  });
});

describe("an error that we did not foresee tells nothing:", () => {
  test.each<[string, unknown]>([
    ["a plain Error", new Error("secret of the server")],
    ["a TypeError", new TypeError("secret of the server")],
    ["one of Postgres", error("error", { code: "23505", detail: "secret", constraint: "users_email_key" })],
    ["one of Moleculer", new Errors.MoleculerError("secret of the server", 418, "SECRET", { secret: 1 })],
    ["a validation without failures", error("ValidationError", { code: 422, data: { secret: 1 } })],
    ["one whose type every object has", error("Error", { type: "constructor" })],
    ["a string", "secret of the server"],
    ["null", null],
    ["undefined", undefined],
  ])("%s", (_what, thrown) => {
    const problem = toProblem(thrown, POST);
    expect(problem).toMatchObject({ type: "internal-error", code: 500, data: {} });
    expect(problem.message).toBe("The server failed unexpectedly and logged the error under the request_id");
  });
});

describe("a problem that a service threw", () => {
  test("keeps its detail, fields and headers", () => {
    const data = {
      errors: [{ pointer: "#/slug", code: "taken", message: "Taken" }],
      headers: { Allow: "GET" },
    };
    const thrown = new Problem("already-exists", "This slug is taken", data);
    expect(toProblem(thrown, POST)).toMatchObject({
      type: "already-exists",
      code: 409,
      message: "This slug is taken",
      data,
    });
  });

  test("is known by its type alone, which is all that the broker keeps; the status is the table's", () => {
    const arrived = { name: "Error", type: "forbidden", code: 200, message: "Not you" };
    expect(toProblem(arrived, POST)).toMatchObject({
      name: "Problem",
      type: "forbidden",
      code: 403,
      message: "Not you",
      data: {},
    });
  });

  test("without a detail gets the table's explanation", () => {
    expect(toProblem({ type: "conflict" }, POST).message).toBe(PROBLEMS.conflict.explain);
  });
});

describe("params that fail their rules", () => {
  interface Validator {
    compile(schema: object): (params: object) => true | object[];
  }
  const validator = new (FastestValidator as unknown as new () => Validator)();
  /** The problem for params that a real validator refuses. */
  const refused = (schema: object, params: object, origin: Origin) => {
    const data = validator.compile({ $$strict: true, ...schema })(params);
    return toProblem({ name: "ValidationError", type: "VALIDATION_ERROR", code: 422, data }, origin);
  };
  const pointers = (problem: Problem) =>
    (problem.data.errors ?? []).map(({ pointer, code }: FieldError) => [pointer, code]);

  const task = { title: { type: "string", min: 1 }, priority: { type: "enum", values: ["low", "high"] } };

  test("are a 422 that lists every bad field with pointer, code and message, and says them all", () => {
    const problem = refused(task, { title: "", priority: "odd" }, POST);
    expect(problem).toMatchObject({
      type: "validation-failed",
      code: 422,
      data: {
        errors: [
          { pointer: "#/title", code: "stringMin", message: expect.stringContaining("title") as unknown },
          {
            pointer: "#/priority",
            code: "enumValue",
            message: expect.stringContaining("priority") as unknown,
          },
        ],
      },
    });
    for (const { message } of problem.data.errors ?? []) expect(problem.message).toContain(message);
  });

  test("that are unknown are listed one by one", () => {
    const problem = refused(task, { title: "T", priority: "low", role: "admin", id: "7" }, POST);
    expect(problem.data.errors).toEqual([
      { pointer: "#/role", code: "unknown", message: "Unknown field 'role'." },
      { pointer: "#/id", code: "unknown", message: "Unknown field 'id'." },
    ]);
  });

  test.each<[method: string, pointer: string]>([
    ["GET", "?limit"],
    ["HEAD", "?limit"],
    ["POST", "#/limit"],
    ["PATCH", "#/limit"],
    ["DELETE", "#/limit"],
  ])("of a %s are pointed to as %s", (method, pointer) => {
    const schema = { limit: { type: "number", max: 100 } };
    expect(pointers(refused(schema, { limit: 101 }, { method, path: [] }))).toEqual([[pointer, "numberMax"]]);
  });

  test("that are nested are pointed to where they are", () => {
    const operations = {
      type: "array",
      items: { type: "object", props: { op: "string", task: { type: "object", props: task } } },
    };
    const params = {
      operations: [
        { op: "create", task: { title: "T", priority: "low" } },
        { op: 7, task: {} },
      ],
    };
    expect(pointers(refused({ operations }, params, POST))).toEqual([
      ["#/operations/1/op", "string"],
      ["#/operations/1/task/title", "required"],
      ["#/operations/1/task/priority", "required"],
    ]);
  });

  test("that are nested and unknown are pointed to where they are", () => {
    const operations = { type: "array", items: { type: "object", strict: true, props: { op: "string" } } };
    const params = { operations: [{ op: "create" }, { op: "create", role: "admin" }] };
    expect(pointers(refused({ operations }, params, POST))).toEqual([["#/operations/1/role", "unknown"]]);
  });

  describe("and came from the path", () => {
    const ofPath = { id: { type: "uuid" } };
    const origin: Origin = { method: "PATCH", path: [{ param: "id", type: "task", id: "no-id" }] };

    test("name nothing: 404, without a word on rules", () => {
      const problem = refused(ofPath, { id: "no-id" }, origin);
      expect(problem).toMatchObject({
        type: "not-found",
        code: 404,
        message: "There is no task no-id",
        data: { resource: { type: "task", id: "no-id" } },
      });
    });

    test.each([
      ["a bad field", { title: "" }],
      ["an unknown field", { title: "T", role: "admin" }],
    ])("name nothing: 404, also beside %s in the body, which has no such pointer", (_what, body) => {
      const schema = { ...ofPath, title: task.title };
      expect(refused(schema, { id: "no-id", ...body }, origin)).toMatchObject({ type: "not-found" });
    });

    test("are not to blame when only the body is bad", () => {
      const id = "0198c0de-0000-7000-8000-000000000000";
      const problem = refused({ ...ofPath, title: task.title }, { id, title: "" }, origin);
      expect(pointers(problem)).toEqual([["#/title", "stringMin"]]);
    });
  });
});

test("a path names what stands behind its words, in its order", () => {
  const values = { comment_id: "c", id: "t" };
  expect(resourcesIn("/tasks/:id/comments/:comment_id", values)).toEqual([
    { param: "id", type: "task", id: "t" },
    { param: "comment_id", type: "comment", id: "c" },
  ]);
  for (const { path } of ROUTES) expect(() => resourcesIn(path, {})).not.toThrow();
});

describe("a pointer", () => {
  test.each([
    ["", "#"],
    ["title", "#/title"],
    ["task.title", "#/task/title"],
    ["operations[12].op", "#/operations/12/op"],
  ])("to the body's %j is %s", (field, pointer) => {
    expect(bodyPointer(field)).toBe(pointer);
  });

  test("to a query parameter is its name", () => {
    expect(queryPointer("limit")).toBe("?limit");
  });

  test.each([
    ["a/b", "#/a~1b"],
    ["a~b", "#/a~0b"],
    ["a.b", "#/a.b"],
  ])("to the unknown field %j, whose name is the client's, is %s (RFC 6901 §3)", (name, pointer) => {
    const failure = { type: "objectStrict", actual: name };
    const problem = toProblem({ name: "ValidationError", data: [failure] }, POST);
    expect(problem.data.errors?.map((field: FieldError) => field.pointer)).toEqual([pointer]);
  });
});

test.each([
  ["/tasks/x?limit=1", "/tasks/x"],
  ["/tasks/%C3%A9", "/tasks/%C3%A9"],
  ["/tasks/%ZZ", "/tasks/%25ZZ"],
  ["/tasks/%", "/tasks/%25"],
  ["/tasks/a<b>|é\ud800", "/tasks/a%3Cb%3E%7C%C3%A9%EF%BF%BD"],
])("the path %s becomes the URI reference %s", (path, instance) => {
  expect(instanceOf(path)).toBe(instance);
});

describe("an answer does not grow with what was sent:", () => {
  const failure = (count: number) => ({
    name: "ValidationError",
    data: Array.from({ length: count }, (_, at) => ({
      type: "string",
      field: `f${at}`,
      message: `Bad ${at}.`,
    })),
  });
  const unknown = (names: string[]) => ({
    name: "ValidationError",
    data: [{ type: "objectStrict", actual: names.join(", ") }],
  });
  const names = (count: number) => Array.from({ length: count }, (_, at) => `n${at}`);

  test.each<[string, object, listed: number, more: boolean]>([
    ["20 errors", failure(20), 20, false],
    ["21 errors", failure(21), 20, true],
    ["20 unknown fields", unknown(names(20)), 20, false],
    ["21 unknown fields", unknown(names(21)), 20, true],
  ])("%s", (_, error, listed, more) => {
    const { data, message } = toProblem(error, POST);
    expect([data.errors?.length, message.endsWith("There are more errors.")]).toEqual([listed, more]);
  });

  test("a client's name is quoted by its first 40 characters, and never by half of one", () => {
    const { data } = toProblem(unknown([`${"x".repeat(39)}\u{1f418}${"y".repeat(999)}`]), POST);
    const quoted = `${"x".repeat(39)}\ufffd…`;
    expect(data.errors).toEqual([
      { pointer: `#/${quoted}`, code: "unknown", message: `Unknown field '${quoted}'.` },
    ]);
  });

  test("a path is told up to 1,000 characters, and an id that names nothing up to 40", () => {
    expect(instanceOf(`/${"a".repeat(5000)}`)).toBe(`/${"a".repeat(999)}`);
    const path = resourcesIn("/tasks/:id", { id: "a".repeat(5000) });
    const error = { name: "ValidationError", data: [{ type: "uuid", field: "id" }] };
    expect(toProblem(error, { method: "GET", path }).data.resource?.id).toBe(`${"a".repeat(40)}…`);
  });
});
