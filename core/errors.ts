import { Errors } from "moleculer";

/**
 * The table of problem codes, the only source of their statuses and titles. The `type` of a problem is
 * `/problems/<code>` (RFC 9457, docs/reference.md, Errors).
 */
export const PROBLEMS = {
  "malformed-request": {
    status: 400,
    title: "Malformed request",
    explain:
      "The body is not valid JSON, or a header cannot be parsed. Correct the request before you send it again.",
  },
  unauthenticated: {
    status: 401,
    title: "Authentication required",
    explain: "The request has no credentials. Log in and send `Authorization: Bearer <access_token>`.",
  },
  "invalid-token": {
    status: 401,
    title: "Invalid token",
    explain:
      "The token is malformed, expired or revoked, or was issued for another purpose. Refresh it, or log in again.",
  },
  "invalid-credentials": {
    status: 401,
    title: "Wrong login or password",
    explain:
      "No active account has this login and password. The response is the same when the account does not exist.",
  },
  forbidden: {
    status: 403,
    title: "Forbidden",
    explain: "You may see the resource, but your role or your token does not allow this operation.",
  },
  "not-found": {
    status: 404,
    title: "Not found",
    explain:
      "The resource does not exist, or you may not see it. `resource` has its type and the id from the request; in a nested path it is the first part that was not found.",
  },
  "method-not-allowed": {
    status: 405,
    title: "Method not allowed",
    explain:
      "The resource exists but does not support this method. The `Allow` header lists the methods that it supports.",
  },
  "not-acceptable": {
    status: 406,
    title: "Not acceptable",
    explain:
      "The response is `application/json`, or `application/x-ndjson` for a snapshot, which your `Accept` header excludes.",
  },
  "request-timeout": {
    status: 408,
    title: "Request timeout",
    explain: "The request did not arrive completely in time. Send it again.",
  },
  conflict: {
    status: 409,
    title: "Conflict with the current state",
    explain:
      "The operation does not fit the current state of the resource. Read the resource again, then decide.",
  },
  "already-exists": {
    status: 409,
    title: "Already taken",
    explain: "Another resource already has this value, which must be unique.",
  },
  "illegal-transition": {
    status: 409,
    title: "Status transition not allowed",
    explain:
      "A task cannot go from its current status to the requested one. Another client may have changed the status first.",
  },
  "neighbour-moved": {
    status: 409,
    title: "Neighbour is not in the column",
    explain:
      "The task that yours should go next to is not in the column that you move it to. Another client may have moved or deleted it: read the column again, then decide.",
  },
  "project-archived": {
    status: 409,
    title: "Project is archived",
    explain: "An archived project accepts no writes. Set its `status` to `active` first.",
  },
  "log-rewritten": {
    status: 409,
    title: "Log does not go on from the cursor",
    explain:
      "The log has no event with the cursor's number and id: the event was forgotten, or the database was restored and another event has its number. Fetch the state, and go on from the present position.",
  },
  "idempotency-key-in-flight": {
    status: 409,
    title: "First request still in progress",
    explain:
      "Another request with this `Idempotency-Key` has not finished. Send the same request again after `Retry-After` seconds to get its response.",
  },
  "precondition-failed": {
    status: 412,
    title: "Resource has changed",
    explain:
      "No entity tag in `If-Match` is the current one: the resource changed after you read it. Read it again, then decide.",
  },
  "payload-too-large": {
    status: 413,
    title: "Body too large",
    explain: "A request body can have at most 1 MiB.",
  },
  "unsupported-media-type": {
    status: 415,
    title: "Unsupported media type",
    explain:
      "Send the body as `Content-Type: application/json` in UTF-8, uncompressed or compressed with gzip, deflate, br or zstd.",
  },
  "expectation-failed": {
    status: 417,
    title: "Expectation failed",
    explain: "The server supports `Expect: 100-continue` and no other expectation. Leave the header out.",
  },
  "validation-failed": {
    status: 422,
    title: "Validation failed",
    explain:
      "The body is valid JSON, but a field or a parameter is not valid. `errors` lists each one with a pointer, a code and a message.",
  },
  "too-many-streams": {
    status: 422,
    title: "Too many streams",
    explain:
      "A socket can have at most 5,000 streams. Name fewer streams, unsubscribe from some, or use several sockets.",
  },
  "bulk-failed": {
    status: 422,
    title: "Bulk request failed",
    explain:
      "The server carries out all operations of a bulk request or none. `results` has the problem of each operation that failed; the other operations were not carried out.",
  },
  "idempotency-key-reused": {
    status: 422,
    title: "Idempotency key reused",
    explain:
      "An `Idempotency-Key` belongs to one request with one body for 24 hours. Use a new key for a new request.",
  },
  "precondition-required": {
    status: 428,
    title: "If-Match required",
    explain:
      "This server accepts the change only with `If-Match`, so that nobody overwrites a version that they have not seen (RFC 6585 §3). Send the `ETag` that you read.",
  },
  "rate-limited": {
    status: 429,
    title: "Too many requests",
    explain:
      "You or your address used up a budget of requests or of failed logins, or too many of your lists and searches are still running. The detail and the `RateLimit` headers say which. Try again after `Retry-After` seconds.",
  },
  "headers-too-large": {
    status: 431,
    title: "Headers too large",
    explain: "The headers of a request can have at most 16 KiB.",
  },
  "internal-error": {
    status: 500,
    title: "Internal server error",
    explain:
      "The server failed unexpectedly and logged the error under `request_id`. Send that id to the operator.",
  },
  "service-unavailable": {
    status: 503,
    title: "Service unavailable",
    explain: "A service that the request needs cannot be reached. Try again after `Retry-After` seconds.",
  },
  "database-unavailable": {
    status: 503,
    title: "Database unavailable",
    explain:
      "The database cannot be reached. A write may or may not have been carried out: send it again with the same `Idempotency-Key`, or read the resource.",
  },
  overloaded: {
    status: 503,
    title: "Server overloaded",
    explain:
      "The server is too busy and refused the request instead of letting it wait. Try again after `Retry-After` seconds.",
  },
  timeout: {
    status: 504,
    title: "No response in time",
    explain:
      "A service that the request needs did not respond in time. A write may or may not have been carried out.",
  },
} as const satisfies Record<string, { status: number; title: string; explain: string }>;

export type ProblemCode = keyof typeof PROBLEMS;

/** One invalid field. `pointer` is a JSON Pointer fragment into the body (`#/title`), or `?name` for a query parameter. */
export interface FieldError {
  pointer: string;
  code: string;
  message: string;
}

/** Types of resources that a 404 can name; `stream` is that of a socket's `subscribe`. */
export const RESOURCES = {
  user: "user",
  session: "session",
  token: "personal access token",
  project: "project",
  member: "member",
  task: "task",
  comment: "comment",
  category: "category",
  stream: "stream",
} as const satisfies Record<string, string>;

/** The missing resource of a 404. `id` is as in the request: for a project it may be the slug. */
export interface Resource {
  type: keyof typeof RESOURCES;
  id: string;
}

export interface ProblemData {
  errors?: FieldError[];
  /** Response headers that belong to the problem, such as `Allow` or `Retry-After`. */
  headers?: Record<string, string>;
  /** How each operation of a bulk request ended. */
  results?: object[];
  /** The missing resource of a 404. */
  resource?: Resource;
}

/**
 * An error for the client. Its `type` survives the broker, where classes are lost: use `problemCode(error)`, never
 * `instanceof`. Without a detail it has the explanation of the table.
 */
export class Problem extends Errors.MoleculerError {
  declare data: ProblemData;

  constructor(code: ProblemCode, detail?: string, data: ProblemData = {}) {
    super(detail ?? PROBLEMS[code].explain, PROBLEMS[code].status, code, data);
    this.name = "Problem";
    this.retryable = false;
  }
}

/** The problem code of an error, also of one that came over the broker; null for other errors. */
export function problemCode(error: unknown): ProblemCode | null {
  const type = (error as { type?: unknown } | null)?.type;
  return typeof type === "string" && Object.hasOwn(PROBLEMS, type) ? (type as ProblemCode) : null;
}

/** 404 for a resource: the same whether it does not exist or the caller may not see it (docs/reference.md, Errors). */
export function missing(type: Resource["type"], id: string): Problem {
  return new Problem("not-found", `There is no ${RESOURCES[type]} ${id}`, { resource: { type, id } });
}

/**
 * A problem that passes by itself: the client may send the same request again.
 * @param seconds to wait before that (`Retry-After`, RFC 9110 §10.2.3)
 */
export function retryLater(code: ProblemCode, detail?: string, seconds = 1): Problem {
  return new Problem(code, detail, { headers: { "Retry-After": String(seconds) } });
}

/** A problem of one field. Messages of errors end with a period, as the validator's own do, and details without one. */
const problemOf = (problem: ProblemCode, pointer: string, code: string, detail: string): Problem =>
  new Problem(problem, detail, { errors: [{ pointer, code, message: `${detail}.` }] });

/** 422 for one field of the body. @param detail without a period at its end */
export const invalidField = (field: string, code: string, detail: string): Problem =>
  problemOf("validation-failed", `#/${field}`, code, detail);

/** 422 for one parameter of the query. @param detail without a period at its end */
export const invalidParameter = (name: string, code: string, detail: string): Problem =>
  problemOf("validation-failed", `?${name}`, code, detail);

/** 409 for one field of the body whose value must be unique. @param detail without a period at its end */
export const takenField = (field: string, detail: string): Problem =>
  problemOf("already-exists", `#/${field}`, "taken", detail);

/** An RFC 9457 document: the body of an error response, and `err.data` of a socket's `connect_error`. */
export interface ProblemDocument {
  type: string;
  title: string;
  status: number;
  detail: string;
  instance?: string;
  request_id?: string;
  resource?: Resource;
  errors?: FieldError[];
  results?: object[];
}

export function problemDocument(
  code: ProblemCode,
  detail: string,
  more: Pick<ProblemDocument, "instance" | "request_id" | "resource" | "errors" | "results"> = {},
): ProblemDocument {
  const { status, title } = PROBLEMS[code];
  return { type: `/problems/${code}`, title, status, detail, ...more };
}
