/** The parts of the OpenAPI document that many operations refer to: headers, parameters, schemas. */
import { REFRESH_COOKIE } from "../auth/auth.contract.ts";

export type Json = Record<string, unknown>;

export interface Components {
  schemas: Json;
  responses: Json;
  parameters: Json;
  headers: Json;
  examples: Json;
  securitySchemes: Json;
}

const text = (description: string, example: string, more: Json = {}): Json => ({
  description,
  schema: { type: "string" },
  example,
  ...more,
});

/** Set by helmet; test/contract/conventions.test.ts compares the server's responses with them. */
const SECURITY_HEADERS: Record<string, string> = {
  "Content-Security-Policy": "default-src 'self'",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
  "Origin-Agent-Cluster": "?1",
  "Referrer-Policy": "no-referrer",
  "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
  "X-Content-Type-Options": "nosniff",
  "X-DNS-Prefetch-Control": "off",
  "X-Download-Options": "noopen",
  "X-Frame-Options": "SAMEORIGIN",
  "X-Permitted-Cross-Domain-Policies": "none",
  "X-XSS-Protection": "0",
};

export const RETRY_AFTER = text("Seconds to wait before the next attempt.", "1", {
  required: true,
  schema: { type: "string", pattern: "^\\d+$" },
});

export const HEADERS: Json = {
  "X-Request-ID": text(
    "The id of the request: the client's own if it is valid, else a new one.",
    "0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75",
    { required: true, schema: { type: "string", pattern: "^[A-Za-z0-9._-]{1,128}$" } },
  ),
  "X-Process-Time": text("Milliseconds that the server took.", "12.34ms", {
    required: true,
    schema: { type: "string", pattern: "^\\d+\\.\\d\\dms$" },
  }),
  "Cache-Control": text("Whether the response may be cached.", "no-store"),
  "RateLimit-Policy": text(
    "The budgets that the request counted against: `q` requests in `w` seconds.",
    '"default";q=300;w=60',
  ),
  RateLimit: text(
    "What is left of each budget: `r` requests, until it starts again in `t` seconds.",
    '"default";r=299;t=60',
  ),
  "Retry-After": RETRY_AFTER,
  "WWW-Authenticate": text("How to authenticate (RFC 6750).", 'Bearer realm="taskwire"', { required: true }),
  Location: text("The path of the new resource.", "/api/v1/tasks/0193a5c6-1f8b-7ab2-9d4e-8c7b6a5f4e3d", {
    required: true,
    schema: { type: "string", format: "uri-reference" },
  }),
  ETag: text(
    "The version of the resource, for `If-Match` and `If-None-Match`. In the response to a read, a digest of the whole body follows the version.",
    '"1"',
  ),
  Link: text(
    'The next page, `rel="next"` (RFC 8288). The last page has none, nor has a page whose link would be too long.',
    '</api/v1/tasks?limit=20&cursor=eyJ>; rel="next"',
  ),
  "Idempotency-Replayed": text("`true`: this is the response to the first request with this key.", "true", {
    schema: { type: "string", const: "true" },
  }),
  "Set-Cookie": text(
    "In cookie mode: the refresh token, which scripts cannot read.",
    `${REFRESH_COOKIE}=…; Max-Age=2592000; Path=/auth; HttpOnly; Secure; SameSite=Strict`,
  ),
  ...Object.fromEntries(
    Object.entries(SECURITY_HEADERS).map(([name, value]) => [
      name,
      text("A security header for browsers (helmet).", value),
    ]),
  ),
};

/** Without examples, which Swagger UI would send with every request. */
export const PARAMETERS: Json = {
  "X-Request-ID": {
    name: "X-Request-ID",
    in: "header",
    description: "Your own id for the request; the response and the server's log repeat it.",
    schema: { type: "string" },
  },
  traceparent: {
    name: "traceparent",
    in: "header",
    description:
      "The trace that the request belongs to (W3C Trace Context). The services pass it on, and its events carry it.",
    schema: { type: "string" },
  },
  "If-Match": {
    name: "If-Match",
    in: "header",
    description:
      "The `ETag` that you read. The server carries out the write only if the resource has not changed since, else the response is 412.",
    schema: { type: "string" },
  },
  "If-None-Match": {
    name: "If-None-Match",
    in: "header",
    description:
      "The `ETag` of the representation that you have. The response is 304 if it is still current.",
    schema: { type: "string" },
  },
  "Last-Event-ID": {
    name: "Last-Event-ID",
    in: "header",
    description:
      "The `id:` of the last frame that you have; it replaces `after`. A stock EventSource sends it.",
    schema: { type: "string" },
  },
  "Idempotency-Key": {
    name: "Idempotency-Key",
    in: "header",
    description:
      "A new key for each request, and the same key when you send that request again: the server carries it out once and repeats the first response. Keys are kept for 24 hours.",
    schema: { type: "string", minLength: 1, maxLength: 255, pattern: "^[\\x20-\\x7e]+$" },
  },
  [REFRESH_COOKIE]: {
    name: REFRESH_COOKIE,
    in: "cookie",
    description: "The refresh token in cookie mode, in place of `refresh_token` in the body.",
    schema: { type: "string" },
  },
};

/** Headers of every response. */
export const ALWAYS = ["X-Request-ID", "X-Process-Time", "Cache-Control", ...Object.keys(SECURITY_HEADERS)];
/** Headers of a response to a request that cost a budget. */
export const COUNTED = [...ALWAYS, "RateLimit-Policy", "RateLimit"];

/** Headers that problems of a status have in addition. */
export const PROBLEM_HEADERS: Record<number, readonly string[]> = {
  401: ["WWW-Authenticate"],
  429: ["Retry-After"],
  503: ["Retry-After"],
  504: ["Retry-After"],
};

export const headersOf = (names: readonly string[]): Json =>
  Object.fromEntries(names.map((name) => [name, { $ref: `#/components/headers/${name}` }]));

/**
 * Moves each schema with a title to `schemas`.
 * @returns the same value, with a reference in place of each
 * @throws Error for two different schemas of one title
 */
export function hoist(value: unknown, schemas: Json): unknown {
  if (Array.isArray(value)) return value.map((item) => hoist(item, schemas));
  if (typeof value !== "object" || value === null) return value;
  const moved = Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, key === "examples" ? inner : hoist(inner, schemas)]),
  );
  const { title } = moved;
  if (typeof title !== "string") return moved;
  const known = schemas[title] as Json | undefined;
  // Examples may differ from place to place.
  const bare = (schema: Json) => JSON.stringify({ ...schema, examples: undefined });
  if (known !== undefined && bare(known) !== bare(moved)) throw new Error(`two schemas are called ${title}`);
  schemas[title] ??= moved;
  return { $ref: `#/components/schemas/${title}` };
}
