import { Errors } from "moleculer";

/**
 * The one table of problem codes. A problem's `type` is `/problems/<code>`; status and title come from here
 * and nowhere else (RFC 9457, docs/reference.md, Errors).
 */
export const PROBLEMS = {
  "malformed-request": {
    status: 400,
    title: "The request does not parse",
    explain:
      "The body is not valid JSON, or a header does not parse. Mend the request before sending it again.",
  },
  unauthenticated: {
    status: 401,
    title: "Credentials are needed",
    explain: "The request carries no credentials. Log in and send `Authorization: Bearer <access_token>`.",
  },
  "invalid-token": {
    status: 401,
    title: "The token is not valid",
    explain: "The token is malformed, expired, revoked or not meant for this. Refresh it, or log in again.",
  },
  "invalid-credentials": {
    status: 401,
    title: "Wrong login or password",
    explain: "No active account has this login and password. The answer is the same for an unknown account.",
  },
  forbidden: {
    status: 403,
    title: "You may not do this",
    explain: "You may see the resource, but your role does not allow this operation on it.",
  },
  "not-found": {
    status: 404,
    title: "Not found",
    explain:
      "There is no such resource, or you may not know that there is. `resource` tells its type and the id that the request gave; of a nested path it is the first part that is not there.",
  },
  "method-not-allowed": {
    status: 405,
    title: "Method not allowed",
    explain:
      "The resource exists but does not take this method; the `Allow` header lists those that it takes.",
  },
  "not-acceptable": {
    status: 406,
    title: "Not acceptable",
    explain: "The resource is served as `application/json` only, which your `Accept` header excludes.",
  },
  "request-timeout": {
    status: 408,
    title: "The request took too long",
    explain: "The request did not arrive whole in time. Send it again.",
  },
  conflict: {
    status: 409,
    title: "Conflict with the present state",
    explain: "The operation contradicts the state that the resource has now. Read it again and decide anew.",
  },
  "already-exists": {
    status: 409,
    title: "Already taken",
    explain: "Another resource already has this value, which must be unique.",
  },
  "illegal-transition": {
    status: 409,
    title: "Illegal status transition",
    explain:
      "A task does not go from its present status to the one asked for; somebody may have been faster.",
  },
  "project-archived": {
    status: 409,
    title: "The project is archived",
    explain: "An archived project takes no writes. Un-archive it first.",
  },
  "idempotency-key-in-flight": {
    status: 409,
    title: "The first request is still under way",
    explain:
      "Another request with this `Idempotency-Key` has not ended yet. Send the same request again after `Retry-After` seconds, and you get its answer.",
  },
  "precondition-failed": {
    status: 412,
    title: "The resource has changed",
    explain:
      "None of the entity tags in `If-Match` is the resource's present one: somebody changed it since you read it. Read it again and decide anew.",
  },
  "payload-too-large": {
    status: 413,
    title: "Body too large",
    explain: "A request body may hold 1 MiB at the most.",
  },
  "unsupported-media-type": {
    status: 415,
    title: "Unsupported media type",
    explain:
      "Bodies are sent as `Content-Type: application/json`, in UTF-8, uncompressed or gzip, deflate, br or zstd.",
  },
  "expectation-failed": {
    status: 417,
    title: "Expectation failed",
    explain: "The server honours `Expect: 100-continue` and nothing else. Leave the header out.",
  },
  "validation-failed": {
    status: 422,
    title: "The request is not valid",
    explain: "The JSON is fine, a field is not. `errors` lists each with its pointer, a code and a message.",
  },
  "too-many-streams": {
    status: 422,
    title: "Too many streams for one socket",
    explain:
      "A socket has 5,000 streams at the most. Name fewer, unsubscribe from some, or share them out among several sockets.",
  },
  "bulk-failed": {
    status: 422,
    title: "An operation can't be done, so none was",
    explain:
      "All operations of a bulk request happen or none does. `results` tells for each operation what stood against it; those that have no problem of their own were left undone with the rest.",
  },
  "idempotency-key-reused": {
    status: 422,
    title: "This Idempotency-Key was used for another request",
    explain: "A key stands for one request, with one body, for 24 hours. Take a new key for a new request.",
  },
  "precondition-required": {
    status: 428,
    title: "If-Match is required",
    explain:
      "This server takes no change without `If-Match`, so that nobody overwrites what they have not seen (RFC 6585 §3). Send the `ETag` that you read.",
  },
  "rate-limited": {
    status: 429,
    title: "Too many requests",
    explain:
      "You, your address or its logins to this account have used up their budget for now, or two of your lists and searches are still being read. `RateLimit`, `RateLimit-Policy` and the detail tell which; try again after `Retry-After` seconds.",
  },
  "headers-too-large": {
    status: 431,
    title: "Headers too large",
    explain: "The headers of a request may have 16 KiB at the most.",
  },
  "internal-error": {
    status: 500,
    title: "Internal error",
    explain:
      "The server failed in a way that it did not foresee. It has logged the request_id; quote it to the operator.",
  },
  "service-unavailable": {
    status: 503,
    title: "A needed service is away",
    explain:
      "A service that the request needs can not be reached now. Try again after `Retry-After` seconds.",
  },
  "database-unavailable": {
    status: 503,
    title: "The database is away",
    explain:
      "Postgres can not be reached now. A write that was under way may have happened or not: send it again with the same `Idempotency-Key`, or look.",
  },
  overloaded: {
    status: 503,
    title: "Too busy",
    explain: "A bounded queue is full, so the server refuses rather than lets you wait. Try again later.",
  },
  timeout: {
    status: 504,
    title: "No answer in time",
    explain: "A service that the request needs did not answer in time. A write may or may not have happened.",
  },
} as const satisfies Record<string, { status: number; title: string; explain: string }>;

export type ProblemCode = keyof typeof PROBLEMS;

/** One bad field: `pointer` is a JSON Pointer fragment into the body (`#/title`), or `?name` for a query parameter. */
export interface FieldError {
  pointer: string;
  code: string;
  message: string;
}

/** The kinds of things that a 404 can miss; of a socket's `subscribe` the stream. */
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

/** What a 404 is about: `id` as the request named it, which for a project may be its slug. */
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
  /** What is missing. */
  resource?: Resource;
}

/**
 * An error that a client is meant to see. It keeps its `type` over the broker, where classes are lost:
 * ask `problemCode(error)`, never `instanceof`. Without a detail of its own it tells the table's explanation.
 */
export class Problem extends Errors.MoleculerError {
  declare data: ProblemData;

  constructor(code: ProblemCode, detail?: string, data: ProblemData = {}) {
    super(detail ?? PROBLEMS[code].explain, PROBLEMS[code].status, code, data);
    this.name = "Problem";
    this.retryable = false;
  }
}

/** The problem code that an error carries, also after it travelled over the broker; null for anything else. */
export function problemCode(error: unknown): ProblemCode | null {
  const type = (error as { type?: unknown } | null)?.type;
  return typeof type === "string" && Object.hasOwn(PROBLEMS, type) ? (type as ProblemCode) : null;
}

/** 404 for one thing: the same whether it doesn't exist or the caller may not know that it does (docs/reference.md, Errors). */
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

/** 422 for one field of the body. */
export function invalidField(field: string, code: string, message: string): Problem {
  return new Problem("validation-failed", message, { errors: [{ pointer: `#/${field}`, code, message }] });
}

/** 422 for one parameter of the query. */
export function invalidParameter(name: string, code: string, message: string): Problem {
  return new Problem("validation-failed", message, { errors: [{ pointer: `?${name}`, code, message }] });
}

/** 409 for one field of the body whose value must be unique. */
export function takenField(field: string, message: string): Problem {
  const errors = [{ pointer: `#/${field}`, code: "taken", message }];
  return new Problem("already-exists", message, { errors });
}

/** An RFC 9457 document: the body of an error answer, and `err.data` of a socket's `connect_error`. */
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
