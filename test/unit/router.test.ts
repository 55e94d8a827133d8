/** From a URL to the routes at its path. */
import { describe, expect, test } from "@jest/globals";
import { findPlace, notRouted } from "../../services/api-gateway/router.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import { problem } from "./fixtures.ts";

const at = (url: string) => {
  const found = findPlace(url);
  return found && { mount: found.mount, methods: [...found.routes.keys()], params: { ...found.params } };
};

test.each(ROUTES)("$method $path is found under both mounts, with the params of its path", (route) => {
  const url = route.path.replace(/:(\w+)/g, "of-$1");
  const names = [...route.path.matchAll(/:(\w+)/g)].map(([, name]) => name as string);
  for (const mount of ["/api/v1", ""]) {
    const found = findPlace(`${mount}${url}?limit=1`);
    expect(found?.mount).toBe(mount);
    expect(found?.routes.get(route.method)).toBe(route);
    expect({ ...found?.params }).toEqual(Object.fromEntries(names.map((name) => [name, `of-${name}`])));
  }
});

describe("a path", () => {
  test.each([
    ["/tasks/", { mount: "", methods: ["GET", "HEAD", "POST"], params: {} }],
    ["/tasks/bulk", { mount: "", methods: ["POST"], params: {} }],
    ["/tasks/bulk/comments", { mount: "", methods: ["GET", "HEAD", "POST"], params: { id: "bulk" } }],
    [
      "/api/v1/projects/a%2Fb%20%C3%A9/tasks",
      { mount: "/api/v1", methods: ["GET", "HEAD", "POST"], params: { project: "a/b é" } },
    ],
    [`/users/${"x".repeat(5000)}`, expect.objectContaining({ params: { id: "x".repeat(5000) } })],
    ["/nowhere", null],
    ["/api/v1", null],
    ["/api/v2/tasks", null],
    ["/TASKS", null],
    ["*", null],
    ["", null],
  ])("%s leads to what lies there", (url, expected) => {
    expect(at(url)).toEqual(expected);
  });

  test.each(["/tasks/%ZZ", "/tasks/%", "/nowhere/%E0%A4%A", "/tasks/%C3%28"])(
    "%s cannot be decoded",
    (url) => {
      expect(() => findPlace(url)).toThrow("The path cannot be decoded");
    },
  );
});

test("a place without the method says which ones it has; nothing says nothing", () => {
  expect(notRouted("DELETE", findPlace("/tasks/bulk"))).toEqual(
    problem("method-not-allowed", {
      message: "This resource does not support DELETE, only POST",
      data: { headers: { Allow: "POST, OPTIONS" } },
    }),
  );
  expect(notRouted("GET", null)).toMatchObject({ type: "not-found" });
});
