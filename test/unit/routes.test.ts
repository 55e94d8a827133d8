import { describe, expect, test } from "@jest/globals";
import type { Auth } from "../../core/kit.ts";
import { ROUTES } from "../../services/api-gateway/routes.ts";
import { serviceSchemas } from "./fixtures.ts";

interface Action {
  auth: Auth;
  params: Record<string, unknown>;
  visibility: string;
  retryPolicy: { enabled: boolean };
}

const actions = new Map<string, Action>(
  (await serviceSchemas()).flatMap(({ name, actions }) =>
    Object.entries(actions as unknown as Record<string, Action>).map(([action, definition]) => [
      `${name}.${action}`,
      definition,
    ]),
  ),
);
/** POSTs that do no more when they come twice, and need no key for that. */
const REPEATABLE = ["auth.logout", "auth.logout_all", "auth.refresh"];
const pathParams = (path: string) => [...path.matchAll(/:(\w+)/g)].map(([, name]) => name as string);

test("no two routes answer the same method and path, whatever their params are called", () => {
  const keys = ROUTES.map(({ method, path }) => `${method} ${path.replace(/:\w+/g, ":")}`);
  expect(keys.filter((key, at) => keys.indexOf(key) !== at)).toEqual([]);
});

test("no path ends in a slash or begins without one", () => {
  for (const { path } of ROUTES) expect(path).toMatch(/^(\/(:?[a-z][a-z_-]*))+$/);
});

describe.each(ROUTES)(
  "$method $path",
  ({ method, path, action: name, status, location, idempotent = false, reads = false }) => {
    const action = actions.get(name);

    test("leads to an action that some service defines for clients", () => {
      expect(action).toMatchObject({ visibility: "published" });
      expect(action?.auth).not.toBe("internal");
    });

    test("gives the action the params that its path names", () => {
      expect(Object.keys(action?.params ?? {})).toEqual(expect.arrayContaining(pathParams(path)));
    });

    test("is tried again when a node dies under it if and only if it reads, or knows itself again", () => {
      const again = idempotent || method !== "POST" || reads || REPEATABLE.includes(name);
      expect(action?.retryPolicy.enabled).toBe(again);
    });

    test("tells where a new resource is if and only if it makes one", () => {
      expect(location !== undefined).toBe(status === 201);
    });
  },
);

test.each([
  ["/auth/register", { id: "u" }, {}, "/users/u"],
  ["/projects", { id: "p" }, {}, "/projects/p"],
  ["/projects/:project/members", { user_id: "u" }, { project: "launch" }, "/projects/launch/members/u"],
  ["/projects/:project/tasks", { id: "t" }, { project: "launch" }, "/tasks/t"],
  ["/tasks", { id: "t" }, {}, "/tasks/t"],
])("what POST %s made is found at its own place", (path, answer, params, expected) => {
  const route = ROUTES.find((candidate) => candidate.method === "POST" && candidate.path === path);
  expect(route?.location?.(answer as Record<string, string>, params as Record<string, string>)).toBe(
    expected,
  );
});
