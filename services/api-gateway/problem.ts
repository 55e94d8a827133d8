import { type FieldError, missing, Problem, problemCode, type Resource } from "../../core/errors.ts";

/** Parts of the errors that come here: Moleculer's, http-errors' (the body parser's) and our own, all without classes. */
interface Failure {
  name?: string;
  type?: string;
  code?: number | string;
  message?: string;
  data?: unknown;
}

interface RuleFailure {
  type: string;
  message?: string;
  field?: string;
  actual?: unknown;
}

/** What a body parser's error means (http-errors `type`). */
const BODY: Record<
  string,
  [code: "malformed-request" | "payload-too-large" | "unsupported-media-type", detail: string]
> = {
  "entity.parse.failed": ["malformed-request", "The body is not valid JSON"],
  "entity.verify.failed": ["malformed-request", "The body is not UTF-8"],
  "request.aborted": ["malformed-request", "The body ended early"],
  "request.size.invalid": ["malformed-request", "The body is not as long as Content-Length says"],
  "entity.too.large": ["payload-too-large", "A body may hold 1 MiB at the most"],
  "charset.unsupported": ["unsupported-media-type", "Send JSON in UTF-8"],
  "encoding.unsupported": [
    "unsupported-media-type",
    "Send the body uncompressed or as gzip, deflate, br or zstd",
  ],
};

const RETRY = { headers: { "Retry-After": "1" } };

/** fastest-validator names all unknown fields of an object in one error. */
function fieldErrors(
  failures: RuleFailure[],
  pointerTo: (field: string, name?: string) => string,
): FieldError[] {
  return failures.flatMap(({ type, message = "Not valid", field, actual }) =>
    type === "objectStrict"
      ? String(actual)
          .split(", ")
          .map((name) => ({
            pointer: pointerTo(field ?? "", name),
            code: "unknown",
            message: `There is no field '${name}' here.`,
          }))
      : type === "required" && actual === null
        ? [
            {
              pointer: pointerTo(field ?? ""),
              code: "null",
              message: `The '${field}' field must not be null.`,
            },
          ]
        : [{ pointer: pointerTo(field ?? ""), code: type, message }],
  );
}

/**
 * RFC 6901 §6: `field` as fastest-validator writes one (`operations[1].title`), and below it a name of the client's,
 * in which any character may stand.
 */
export function bodyPointer(field: string, name?: string): string {
  const steps = field === "" ? [] : field.replace(/\[(\d+)\]/g, ".$1").split(".");
  if (name !== undefined) steps.push(name.replaceAll("~", "~0").replaceAll("/", "~1"));
  return ["#", ...steps].join("/");
}
export const queryPointer = (field: string, name?: string): string => `?${name ?? field}`;

/** The path of a request as a URI reference (RFC 3986), which what clients send need not be: `/tasks/%ZZ`. */
export const instanceOf = (url: string): string =>
  (url.split("?")[0] as string).replace(/%(?![0-9a-f]{2})|[^!-~]|["<>[\]\\^`{|}#]/gi, (odd) =>
    encodeURIComponent(odd.toWellFormed()),
  );

/** A param that the path gave, and what it names. */
export interface Named extends Resource {
  param: string;
}

/** Where the values of a request came from. */
export interface Origin {
  method: string;
  /** In the order of the path. */
  path: Named[];
}

/** What stands before an id in a path, and the kind of thing that it is then an id of. */
const KINDS: Record<string, Resource["type"]> = {
  users: "user",
  sessions: "session",
  tokens: "token",
  projects: "project",
  members: "member",
  tasks: "task",
  comments: "comment",
  categories: "category",
};

/**
 * What the parts of a path name: `/tasks/:id/comments/:comment_id` a task and a comment.
 * @throws Error for an id behind a word that is not known
 */
export function namedBy(pattern: string, values: Record<string, string>): Named[] {
  return [...pattern.matchAll(/([\w-]+)\/:(\w+)/g)].map(([, word = "", param = ""]) => {
    const type = KINDS[word];
    if (type === undefined) throw new Error(`nobody knows what ${word}/:${param} names`);
    return { param, type, id: values[param] ?? "" };
  });
}

function validationProblem(failures: RuleFailure[], { method, path }: Origin): Problem {
  // A path that can't name anything names nothing, whatever else is wrong.
  const nothing = path.find(({ param }) => failures.some(({ field }) => field === param));
  if (nothing !== undefined) return missing(nothing.type, nothing.id);
  const errors = fieldErrors(failures, ["GET", "HEAD"].includes(method) ? queryPointer : bodyPointer);
  return new Problem("validation-failed", errors.map(({ message }) => message).join(" "), { errors });
}

/** Whatever went wrong, as the problem that the client sees. Nothing that we did not foresee tells its message. */
export function toProblem(error: unknown, origin: Origin): Problem {
  const { name = "", type = "", code, message, data } = (error ?? {}) as Failure;
  const known = problemCode(error);
  if (known !== null) return new Problem(known, message, data ?? {});
  if (name === "ValidationError" && Array.isArray(data))
    return validationProblem(data as RuleFailure[], origin);

  if (Object.hasOwn(BODY, type)) return new Problem(...(BODY[type] as (typeof BODY)[string]));
  if (type === "UNABLE_DECODE_PARAM") return new Problem("malformed-request", "The path does not decode");

  switch (name) {
    case "ServiceNotFoundError":
    case "ServiceNotAvailableError":
    case "ServiceUnavailableError":
    case "RequestRejectedError":
    case "BrokerDisconnectedError":
      return new Problem("service-unavailable", undefined, RETRY);
    case "QueueIsFullError":
      return new Problem("overloaded", undefined, RETRY);
    case "RequestTimeoutError":
    case "RequestSkippedError":
      return new Problem("timeout", undefined, RETRY);
    default:
      // moleculer-web says 503 when no node offers a routed action.
      return code === 503
        ? new Problem("service-unavailable", undefined, RETRY)
        : new Problem("internal-error", "The server failed; it has logged the request_id");
  }
}
