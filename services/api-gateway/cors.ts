/** CORS: which pages of other origins may read the API's responses (Fetch §3.2). */
import type { IncomingMessage, ServerResponse } from "node:http";
import cors, { type CorsOptions } from "cors";
import type { Middleware } from "./gateway-request.ts";
import type { Head } from "./response-head.ts";

/** Characters of header names in a preflight, whose response repeats them. Clients refuse heads of more than 16 kB. */
const MAX_REQUEST_HEADERS_LENGTH = 2048;

const SHARED: CorsOptions = {
  exposedHeaders: [
    "ETag",
    "Idempotency-Replayed",
    "Link",
    "Location",
    "RateLimit",
    "RateLimit-Policy",
    "Retry-After",
    "X-Request-ID",
    "X-Process-Time",
  ],
  maxAge: 600,
};

/** Drops the header names of a preflight that asks for too many, so that no response repeats them. */
export function boundPreflight({ headers }: IncomingMessage): void {
  if ((headers["access-control-request-headers"]?.length ?? 0) > MAX_REQUEST_HEADERS_LENGTH)
    delete headers["access-control-request-headers"];
}

/** The headers that a middleware sets on a response. */
function headersBy(middleware: Middleware, request: Pick<IncomingMessage, "method" | "headers">): Head {
  const head: Head = {};
  const response = {
    getHeader: (name: string) => head[name],
    setHeader: (name: string, value: string) => (head[name] = value),
  };
  middleware(request as IncomingMessage, response as unknown as ServerResponse, () => {});
  return head;
}

export interface Cors {
  /** The headers for any request but a preflight. */
  headersFor(request: IncomingMessage): Head;
  /** Ends a preflight request. */
  preflight: Middleware;
}

/**
 * A listed origin may also send the refresh cookie (docs/reference.md, Cookie mode); an origin that only `*` allows may
 * not.
 * @param origins CORS_ORIGINS
 */
export function corsFor(origins: readonly string[]): Cors {
  const listed = origins.filter((origin) => origin !== "*");
  const isListed = ({ headers }: IncomingMessage) => listed.includes(headers.origin ?? "");
  const forListed = cors({ ...SHARED, origin: listed, credentials: true }) as Middleware;
  const forOthers = cors({ ...SHARED, origin: origins.includes("*") ? "*" : listed }) as Middleware;
  const middleware: Middleware = (request, response, next) => {
    // Responses differ by origin, also where `*` stands beside a list.
    if (listed.length > 0) response.setHeader("Vary", "Origin");
    (isListed(request) ? forListed : forOthers)(request, response, next);
  };
  // Most requests come from no page: their headers are always the same.
  const withoutOrigin = headersBy(middleware, { method: "GET", headers: {} });
  return {
    headersFor: (request) =>
      request.headers.origin === undefined ? withoutOrigin : headersBy(middleware, request),
    preflight: middleware,
  };
}
