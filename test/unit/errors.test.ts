import { describe, expect, test } from "@jest/globals";
import {
  invalidField,
  invalidParameter,
  missing,
  PROBLEMS,
  Problem,
  type ProblemCode,
  problemCode,
  problemDocument,
  retryLater,
  takenField,
} from "../../core/errors.ts";

describe("the table of problems", () => {
  const entries = Object.entries(PROBLEMS);

  test.each(entries)(
    "%s is a stable code with a client's or server's status and an explanation",
    (code, row) => {
      expect(code).toMatch(/^[a-z]+(-[a-z]+)*$/);
      expect(row.status).toBeGreaterThanOrEqual(400);
      expect(row.status).toBeLessThan(600);
      expect(row.title).toMatch(/^[A-Z].*[^.]$/);
      expect(row.explain).toMatch(/\.$/);
    },
  );

  test("gives no two codes one title", () => {
    expect(new Set(entries.map(([, { title }]) => title)).size).toBe(entries.length);
  });
});

describe("a problem", () => {
  test("has its status and title from the table, and is never retried by the broker", () => {
    expect(new Problem("forbidden")).toMatchObject({
      code: 403,
      type: "forbidden",
      message: PROBLEMS.forbidden.explain,
      retryable: false,
      data: {},
    });
  });

  test("tells its own detail and data", () => {
    const headers = { "Retry-After": "1" };
    expect(new Problem("timeout", "Too slow", { headers })).toMatchObject({
      message: "Too slow",
      data: { headers },
    });
  });

  test("of something missing names its type and its id", () => {
    expect(missing("category", "7")).toMatchObject({
      code: 404,
      message: "There is no category 7",
      data: { resource: { type: "category", id: "7" } },
    });
  });

  test("that passes by itself says when to come back: after a second where nothing else is known", () => {
    expect(retryLater("timeout")).toMatchObject({
      message: PROBLEMS.timeout.explain,
      data: { headers: { "Retry-After": "1" } },
    });
    expect(retryLater("overloaded", "Too many logins at once", 5)).toMatchObject({
      type: "overloaded",
      message: "Too many logins at once",
      data: { headers: { "Retry-After": "5" } },
    });
  });

  test("of one parameter points to it in the query", () => {
    expect(invalidParameter("cursor", "cursor", "No such cursor")).toMatchObject({
      type: "validation-failed",
      message: "No such cursor",
      data: { errors: [{ pointer: "?cursor", code: "cursor", message: "No such cursor." }] },
    });
  });

  test("of a value that must be unique points to its field", () => {
    expect(takenField("slug", "This slug is taken")).toMatchObject({
      type: "already-exists",
      message: "This slug is taken",
      data: { errors: [{ pointer: "#/slug", code: "taken", message: "This slug is taken." }] },
    });
  });

  test("of one field points to it in the body", () => {
    expect(invalidField("assigned_to", "assignee", "No such user")).toMatchObject({
      type: "validation-failed",
      message: "No such user",
      data: { errors: [{ pointer: "#/assigned_to", code: "assignee", message: "No such user." }] },
    });
  });
});

describe("the code of an error", () => {
  test.each<[string, unknown, ProblemCode | null]>([
    ["a problem", new Problem("conflict"), "conflict"],
    ["what the broker made of a problem", { type: "conflict", code: 409 }, "conflict"],
    ["another error", new Error("boom"), null],
    ["an error of Moleculer", { type: "SERVICE_NOT_FOUND" }, null],
    ["an error whose type every object has", { type: "constructor" }, null],
    ["an error with a strange type", { type: 409 }, null],
    ["null", null, null],
    ["undefined", undefined, null],
    ["a string", "conflict", null],
  ])("is that of %s", (_what, error, code) => {
    expect(problemCode(error)).toBe(code);
  });
});

test("a problem document names its type by a path, and leaves out what is not known", () => {
  expect(problemDocument("not-found", "No such task")).toEqual({
    type: "/problems/not-found",
    title: "Not found",
    status: 404,
    detail: "No such task",
  });
  const more = { instance: "/tasks/1", request_id: "r-1", errors: [] };
  expect(problemDocument("not-found", "No such task", more)).toMatchObject(more);
});
