/** From the path of a request to the routes that the table has there. Paths are compared as they are written (RFC 3986 §6.2.2.1). */
import findMyWay from "find-my-way";
import { Problem } from "../../core/errors.ts";
import { type Route, ROUTES } from "./routes.ts";

/** Where all routes are served: under a version, and at the root. */
const MOUNTS = ["/api/v1", ""] as const;

/** What lies at a path. */
export interface Place {
  /** What stands before the path of the route. */
  readonly mount: string;
  /** The routes by method; HEAD is GET without the body (RFC 9110 §9.3.2). */
  readonly routes: ReadonlyMap<string, Route>;
}

/** A place, and the params that its path gives. */
export interface Found extends Place {
  readonly params: Readonly<Record<string, string>>;
}

const methodsOf = ({ method }: Route): string[] => (method === "GET" ? ["GET", "HEAD"] : [method]);

const places = findMyWay({
  ignoreTrailingSlash: true,
  // A longer one names nothing either, and the problem says so; Node bounds the whole head.
  maxParamLength: Number.MAX_SAFE_INTEGER,
  querystringParser: () => ({}),
});
// One tree for all methods: it tells a path that does not exist from a method that its resource does not have.
for (const mount of MOUNTS)
  for (const [path, routes] of Map.groupBy(ROUTES, ({ path }) => path)) {
    const byMethod = routes.flatMap((route) => methodsOf(route).map((method) => [method, route] as const));
    const place: Place = { mount, routes: new Map(byMethod) };
    places.on("GET", mount + path, () => {}, place);
  }

/** A path with a `%` that does not begin a code of UTF-8 cannot be decoded. */
const isDecodable = (path: string): boolean => {
  try {
    decodeURIComponent(path);
    return true;
  } catch {
    return false;
  }
};

/**
 * The place of a URL; null where there is none.
 * @throws Problem malformed-request for a path that cannot be decoded
 */
export function findPlace(url: string): Found | null {
  const [path = "/"] = url.split("?", 1);
  if (path.includes("%") && !isDecodable(path))
    throw new Problem("malformed-request", "The path cannot be decoded");
  const found = places.find("GET", path);
  return found === null
    ? null
    : { ...(found.store as Place), params: found.params as Record<string, string> };
}

/** The value of `Allow`: every path also supports OPTIONS. */
export const allowHeader = ({ routes }: Place): string => [...routes.keys(), "OPTIONS"].join(", ");

/** 404 where there is nothing at the path; 405 where the place does not have the method. */
export function notRouted(method: string | undefined, place: Place | null): Problem {
  if (place === null) return new Problem("not-found", "No resource has this path");
  return new Problem(
    "method-not-allowed",
    `This resource does not support ${method}, only ${[...place.routes.keys()].join(", ")}`,
    { headers: { Allow: allowHeader(place) } },
  );
}
