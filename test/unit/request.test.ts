import { describe, expect, test } from "@jest/globals";
import { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { traceparentOf } from "../../core/trace.ts";
import { toProblem } from "../../services/api-gateway/problem.ts";
import { bindParams, parseQuery, readBody, requestIdOf } from "../../services/api-gateway/request.ts";
import { problem } from "./fixtures.ts";

/** A request as Node's server hands it over, and its response, without a connection. */
function exchange(headers: Record<string, string>, body: string | Buffer = "") {
  const request = new IncomingMessage(new Socket());
  request.method = "POST";
  Object.assign(request.headers, headers);
  request.push(body);
  request.push(null);
  return { request, response: new ServerResponse(request) };
}

test.each<[string | undefined, string | null]>([
  [
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  ],
  [
    "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
    "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
  ],
  ["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", null],
  ["ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", null],
  [`00-${"0".repeat(32)}-00f067aa0ba902b7-01`, null],
  [`00-4bf92f3577b34da6a3ce929d0e0e4736-${"0".repeat(16)}-01`, null],
  ["00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01", null],
  ["x\ny", null],
  [undefined, null],
])("the traceparent %j is %j", (traceparent, expected) => {
  expect(traceparentOf({ headers: traceparent === undefined ? {} : { traceparent } })).toBe(expected);
});

describe("a request is identified", () => {
  test.each(["a", "A-z_0.9", "x".repeat(128)])("by the client's own id where it is fit: %s", (own) => {
    expect(requestIdOf({ headers: { "x-request-id": own } })).toBe(own);
  });

  test.each([
    ["none", {}],
    ["an empty one", { "x-request-id": "" }],
    ["one with a space", { "x-request-id": "a b" }],
    ["one that breaks a line of the log", { "x-request-id": "a\nb" }],
    ["one that ends a line", { "x-request-id": "a\n" }],
    ["one with markup", { "x-request-id": "<script>" }],
    ["one of 129 characters", { "x-request-id": "x".repeat(129) }],
    ["two, which Node joins", { "x-request-id": "a, b" }],
  ])("by a new id for %s", (_what, headers) => {
    expect(requestIdOf({ headers: headers as Record<string, string> })).toMatch(
      /^[0-9a-f-]{14}7[0-9a-f-]{21}$/,
    );
  });
});

describe("a body", () => {
  const JSON_TYPE = { "content-type": "application/json" };
  const read = (headers: Record<string, string>, body: string | Buffer = "") => {
    const length = { "content-length": String(Buffer.byteLength(body)) };
    const { request, response } = exchange({ ...length, ...headers }, body);
    return readBody(request, response);
  };

  test.each<[string, Record<string, string>, string | Buffer, unknown]>([
    ["an object", JSON_TYPE, '{"title":"T"}', { title: "T" }],
    ["an object in UTF-8", { "content-type": "application/json; charset=utf-8" }, '{"t":"ü"}', { t: "ü" }],
    ["JSON by a suffix", { "content-type": "application/merge-patch+json" }, "{}", {}],
    ["JSON in capitals", { "content-type": "APPLICATION/JSON" }, "{}", {}],
    ["gzip", { ...JSON_TYPE, "content-encoding": "gzip" }, gzipSync('{"title":"T"}'), { title: "T" }],
    ["an array, which bindParams refuses", JSON_TYPE, "[1]", [1]],
  ])("is read: %s", async (_what, headers, body, expected) => {
    await expect(read(headers, body)).resolves.toEqual(expected);
  });

  test.each([{}, JSON_TYPE, { "content-type": "text/plain" }])(
    "that is empty is none, with %j",
    async (headers) => {
      await expect(read(headers)).resolves.toBeUndefined();
    },
  );

  test.each<[string, Record<string, string>, string | Buffer, string]>([
    ["no content type", {}, "{}", "unsupported-media-type"],
    ["a form", { "content-type": "application/x-www-form-urlencoded" }, "a=b", "unsupported-media-type"],
    [
      "text that only begins like JSON's type",
      { "content-type": "application/jsonp" },
      "{}",
      "unsupported-media-type",
    ],
    [
      "another charset",
      { "content-type": "application/json; charset=latin1" },
      "{}",
      "unsupported-media-type",
    ],
    ["another encoding", { ...JSON_TYPE, "content-encoding": "compress" }, "{}", "unsupported-media-type"],
    ["JSON that ends early", JSON_TYPE, '{"title":', "malformed-request"],
    ["gzip that is none", { ...JSON_TYPE, "content-encoding": "gzip" }, "{}", "malformed-request"],
    [
      "gzip that ends early",
      { ...JSON_TYPE, "content-encoding": "gzip" },
      gzipSync('{"title":"T"}').subarray(0, 12),
      "malformed-request",
    ],
    ["more than it said", { ...JSON_TYPE, "content-length": "1" }, "{}", "malformed-request"],
    ["more than 1 MiB", JSON_TYPE, `"${"x".repeat(1024 * 1024)}"`, "payload-too-large"],
    [
      "more than 1 MiB once unpacked",
      { ...JSON_TYPE, "content-encoding": "gzip" },
      gzipSync(`"${"x".repeat(1024 * 1024)}"`),
      "payload-too-large",
    ],
  ])("is refused: %s", async (_what, headers, body, code) => {
    const error = await read(headers, body).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    expect(toProblem(error, { method: "POST", path: [] })).toMatchObject({ type: code });
  });
});

describe("the params of an action", () => {
  const none = { body: undefined, query: {}, path: {} };

  test.each<[string, string, object, object]>([
    ["POST", "the body", { body: { a: 1 } }, { a: 1 }],
    ["PUT", "the body and the path", { body: { a: 1 }, path: { id: "7" } }, { a: 1, id: "7" }],
    ["PATCH", "the path alone", { path: { id: "7" } }, { id: "7" }],
    ["DELETE", "the path alone", { path: { id: "7" } }, { id: "7" }],
    ["GET", "the query", { query: { limit: "5" } }, { limit: "5" }],
    ["GET", "the query and the path", { query: { limit: "5" }, path: { id: "7" } }, { limit: "5", id: "7" }],
    ["HEAD", "the query", { query: { limit: "5" } }, { limit: "5" }],
    ["GET", "not a body", { body: { limit: 1 }, query: {} }, {}],
  ])("of a %s come from %s", (method, _from, parts, expected) => {
    expect(bindParams({ method }, { ...none, ...parts })).toEqual(expected);
  });

  test.each<[string, string, object, string[]]>([
    ["POST", "a query beside the body", { body: { a: 1 }, query: { role: "admin" } }, ["?role"]],
    ["DELETE", "a query", { path: { id: "7" }, query: { id: "8" } }, ["?id"]],
    ["PATCH", "a body that speaks for the path", { body: { id: "8" }, path: { id: "7" } }, ["#/id"]],
    ["GET", "a query that speaks for the path", { query: { id: "8" }, path: { id: "7" } }, ["?id"]],
    [
      "PATCH",
      "all of that at once",
      { body: { id: "8" }, query: { a: "1", b: "2" }, path: { id: "7" } },
      ["#/id", "?a", "?b"],
    ],
  ])("of a %s refuse %s", (method, _what, parts, pointers) => {
    expect(() => bindParams({ method }, { ...none, ...parts })).toThrow(
      problem("validation-failed", {
        data: {
          errors: pointers.map((pointer) => expect.objectContaining({ pointer, code: "unknown" }) as unknown),
        },
      }) as Error,
    );
  });

  test.each([[["a"]], ["text"], [7], [false]])(
    "can't be bound from the body %j, which is no object",
    (body) => {
      expect(() => bindParams({ method: "POST" }, { ...none, body })).toThrow(
        problem("validation-failed", {
          data: { errors: [expect.objectContaining({ pointer: "#", code: "object" })] },
        }) as Error,
      );
    },
  );

  test("never reach a prototype", () => {
    const body = JSON.parse('{"__proto__": {"role": "admin"}, "title": "T"}') as object;
    const params = bindParams({ method: "POST" }, { ...none, body });
    expect(params.role).toBeUndefined();
    expect(Object.keys(params)).toEqual(["__proto__", "title"]);
  });
});

describe("a query is read up to its bounds, and refused beyond them:", () => {
  const many = (count: number, between = "&") =>
    `/tasks?${Array.from({ length: count }, (_, at) => `p${at}=1`).join(between)}`;
  const named = (length: number) => `/tasks?${"x".repeat(length)}=1`;
  const tooMuch = expect.objectContaining({ type: "validation-failed" });

  test.each<[what: string, most: string, count: number, oneMore: string]>([
    ["100 parameters", many(100), 100, many(101)],
    ["100 with nothing between them", many(100, "&&"), 100, many(101, "&&")],
    ["a name of 256 characters", named(256), 1, named(257)],
  ])("%s", (_, most, count, oneMore) => {
    expect(Object.keys(parseQuery(most))).toHaveLength(count);
    expect(() => parseQuery(oneMore)).toThrow(tooMuch);
  });
});
