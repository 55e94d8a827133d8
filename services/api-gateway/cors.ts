/** Which pages of other origins may read the API's answers (Fetch §3.2). */
import type { IncomingMessage } from "node:http";
import cors, { type CorsOptions } from "cors";
import type { Middleware } from "./moleculer-web.ts";

/** Characters of the names that a preflight asks for, and is answered. Clients refuse heads of more than 16 kB. */
const MAX_ASKED = 2048;

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

/** A preflight is answered with the names that it asks for: too many of them are not there, for any answer. */
export function boundPreflight({ headers }: IncomingMessage): void {
  if ((headers["access-control-request-headers"]?.length ?? 0) > MAX_ASKED)
    delete headers["access-control-request-headers"];
}

/**
 * An origin that is listed may send the refresh cookie too (docs/reference.md, Cookie mode); all those that `*` lets in
 * may not. Ends preflight requests itself.
 * @param origins CORS_ORIGINS
 */
export function allowOriginsOf(origins: readonly string[]): Middleware {
  const listed = origins.filter((origin) => origin !== "*");
  const isListed = ({ headers }: IncomingMessage) => listed.includes(headers.origin ?? "");
  const forListed = cors({ ...SHARED, origin: listed, credentials: true }) as Middleware;
  const forOthers = cors({ ...SHARED, origin: origins.includes("*") ? "*" : listed }) as Middleware;
  return (request, response, next) => {
    // The answer to one origin is not the answer to another, also where `*` stands beside a list.
    if (listed.length > 0) response.setHeader("Vary", "Origin");
    (isListed(request) ? forListed : forOthers)(request, response, next);
  };
}
