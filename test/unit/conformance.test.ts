import { describe, expect, test } from "@jest/globals";
import { problemDocument } from "../../core/errors.ts";
import { exampleOf } from "../../core/json-schema.ts";
import { user } from "../../services/users/users.answers.ts";
import type { Answer } from "../support/api.ts";
import { mustConform } from "../support/conformance.ts";

const HEADERS = {
  "content-type": "application/json; charset=utf-8",
  "x-request-id": "1",
  "x-process-time": "1.00ms",
};
const me = exampleOf(user) as object;

const check = (
  {
    method = "GET",
    path = "/auth/me",
    status = 200,
    body = me,
  }: Partial<Answer & { method: string; path: string }>,
  headers: Record<string, string> = {},
) => mustConform(method, path, { status, headers: new Headers({ ...HEADERS, ...headers }), body });
const problem = (status: number, code: "not-found" | "conflict" | "invalid-token") => ({
  status,
  body: problemDocument(code, "x"),
});
const PROBLEM = { "content-type": "application/problem+json; charset=utf-8" };
const CHALLENGE = { ...PROBLEM, "www-authenticate": "Bearer" };

describe("conforms", () => {
  test.each<[string, Parameters<typeof check>]>([
    ["an answer as documented", [{}]],
    ["under the prefix, with a slash and a query", [{ path: "/api/v1/auth/me/?x" }]],
    ["with CORS headers", [{}, { "access-control-allow-origin": "*" }]],
    ["HEAD", [{ method: "HEAD", body: null }]],
    ["304", [{ status: 304, body: null }, { etag: '"1"' }]],
    ["a documented problem", [problem(401, "invalid-token"), CHALLENGE]],
    ["a problem where there is no operation", [{ path: "/nowhere", ...problem(404, "not-found") }, PROBLEM]],
    ["a page", [{ path: "/docs", body: "<!doctype html>" }]],
  ])("%s", (_, given) => {
    check(...given);
  });
});

describe("does not conform", () => {
  test.each<[string, RegExp, Parameters<typeof check>]>([
    ["another status", /status is not documented/, [{ status: 201 }]],
    ["an undocumented field", /additional properties/, [{ body: { ...me, password_hash: "x" } }]],
    ["a missing field", /must have required property 'email'/, [{ body: { ...me, email: undefined } }]],
    [
      "a value of another kind",
      /\/created_at must match format/,
      [{ body: { ...me, created_at: "yesterday" } }],
    ],
    ["no body", /must/, [{ body: null }]],
    ["a body of HEAD", /a body is not documented/, [{ method: "HEAD" }]],
    ["a body of 304", /a body is not documented/, [{ status: 304 }]],
    ["another content type", /content type is text\/html/, [{}, { "content-type": "text/html" }]],
    [
      "a problem that isn't problem+json",
      /content type/,
      [problem(401, "invalid-token"), { "www-authenticate": "Bearer" }],
    ],
    ["an undocumented header", /header x-powered-by is not documented/, [{}, { "x-powered-by": "x" }]],
    ["a missing header", /header WWW-Authenticate is missing/, [problem(401, "invalid-token"), PROBLEM]],
    ["a header of another form", /header X-Process-Time is 1s/, [{}, { "x-process-time": "1s" }]],
    [
      "an undocumented problem of a documented status",
      /problem conflict is not documented/,
      [problem(401, "conflict"), CHALLENGE],
    ],
    ["a success where there is no operation", /no such operation/, [{ path: "/nowhere" }]],
    [
      "anything but a problem where there is no operation",
      /body/,
      [{ path: "/nowhere", status: 404 }, PROBLEM],
    ],
  ])("%s", (_, message, given) => {
    expect(() => check(...given)).toThrow(message);
  });
});
