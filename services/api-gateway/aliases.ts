/** The route table as aliases of moleculer-web, and what a path and its method find there. */
import type { IncomingMessage } from "node:http";
import { Problem } from "../../core/errors.ts";
import type { Alias } from "./moleculer-web.ts";
import { type Route, ROUTES } from "./routes.ts";

/** `GET /path` of moleculer-web to the line of the table. */
const keyOf = (method: string, path: string): string => `${method} ${path.replace(/^\//, "")}`;

const lines = ROUTES.flatMap((route) =>
  // HEAD is GET without the body (RFC 9110 §9.3.2).
  (route.method === "GET" ? ["GET", "HEAD"] : [route.method]).map((method) => ({ method, route })),
);
const routes = new Map(lines.map(({ method, route }) => [keyOf(method, route.path), route]));

export const ALIASES: Readonly<Record<string, string>> = Object.fromEntries(
  lines.map(({ method, route }) => [`${method} ${route.path}`, route.action]),
);

export const routeOf = ({ method, path }: Alias): Route => routes.get(keyOf(method, path)) as Route;

/** The last segments of paths that are resources of their own where another path has an id: `/tasks/bulk`. */
const FIXED_SEGMENTS = new Set(
  ROUTES.map(({ path }) => path.split("/").at(-1) as string).filter((end) => !end.startsWith(":")),
);

/** Whether the router may have taken a fixed segment for an id. */
export const namesFixedSegment = (path: Record<string, string>): boolean =>
  Object.values(path).some((value) => FIXED_SEGMENTS.has(value));

/** Methods of the routes at a path. */
export function methodsAt(aliases: readonly Alias[], url: string): string[] {
  const path = url.split("?")[0] as string;
  const matching = aliases.filter((alias) => alias.match(path) !== false);
  // `/tasks/bulk` is a resource of its own and no id.
  const fixed = matching.filter((alias) => !alias.path.includes(":"));
  return [...new Set((fixed.length > 0 ? fixed : matching).map(({ method }) => method))];
}

/** The value of `Allow`: every path also supports OPTIONS. */
export const allowHeader = (methods: readonly string[]): string => [...methods, "OPTIONS"].join(", ");

/** 404 where no route has the path; 405 where the method is not one of those that it has. */
export function notRouted({ method }: IncomingMessage, allowed: readonly string[]): Problem {
  if (allowed.length === 0) return new Problem("not-found", "No resource has this path");
  return new Problem(
    "method-not-allowed",
    `This resource does not support ${method}, only ${allowed.join(", ")}`,
    { headers: { Allow: allowHeader(allowed) } },
  );
}

const STRICT = new Set(
  ROUTES.filter(({ budget }) => budget !== undefined).map(({ method, path }) => `${method} ${path}`),
);

/**
 * Whether the path of a request, as it is written, is that of a route with a budget of its own. The router knows more
 * spellings, such as `/AUTH/login`: those cost the default budget first, and their own one after they are routed.
 */
export function hasOwnBudget({ method, url = "/" }: IncomingMessage): boolean {
  const path = (url.split("?")[0] as string).replace(/^\/api\/v1(?=\/)/, "").replace(/(?<=.)\/$/, "");
  return STRICT.has(`${method} ${path}`);
}
