/** CORS: which pages of other origins may read the API's responses (Fetch §3.2). */
import type { IncomingMessage } from "node:http";
import cors, { type CorsOptions } from "cors";
import type { Middleware } from "./moleculer-web.ts";

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

/**
 * A middleware that sets the CORS headers and ends preflight requests. A listed origin may also send the refresh cookie
 * (docs/reference.md, Cookie mode); an origin that only `*` allows may not.
 * @param origins CORS_ORIGINS
 */
export function allowOriginsOf(origins: readonly string[]): Middleware {
  const listed = origins.filter((origin) => origin !== "*");
  const isListed = ({ headers }: IncomingMessage) => listed.includes(headers.origin ?? "");
  const forListed = cors({ ...SHARED, origin: listed, credentials: true }) as Middleware;
  const forOthers = cors({ ...SHARED, origin: origins.includes("*") ? "*" : listed }) as Middleware;
  return (request, response, next) => {
    // Responses differ by origin, also where `*` stands beside a list.
    if (listed.length > 0) response.setHeader("Vary", "Origin");
    (isListed(request) ? forListed : forOthers)(request, response, next);
  };
}
