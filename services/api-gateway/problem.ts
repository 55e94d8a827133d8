import {
  type FieldError,
  missing,
  Problem,
  problemCode,
  type Resource,
  retryLater,
} from "../../core/errors.ts";
import { RESOURCE_OF_SEGMENT } from "./routes.ts";

/**
 * The fields of errors that arrive here: Moleculer's, the body parser's (http-errors) and problems. The broker loses the
 * classes of errors, so only fields can be tested.
 */
interface Failure {
  name?: string;
  type?: string;
  message?: string;
  data?: unknown;
}

interface RuleFailure {
  type: string;
  message?: string;
  field?: string;
  actual?: unknown;
}

/** Problems for errors of the body parser (http-errors `type`). */
const BODY: Record<
  string,
  [code: "malformed-request" | "payload-too-large" | "unsupported-media-type", detail: string]
> = {
  "entity.parse.failed": ["malformed-request", "The body is not valid JSON"],
  "entity.verify.failed": ["malformed-request", "The body is not UTF-8"],
  "request.aborted": ["malformed-request", "The body ended early"],
  "request.size.invalid": ["malformed-request", "The body is not as long as Content-Length says"],
  "entity.too.large": ["payload-too-large", "A body can have at most 1 MiB"],
  "charset.unsupported": ["unsupported-media-type", "Send JSON in UTF-8"],
  "encoding.unsupported": [
    "unsupported-media-type",
    "Send the body uncompressed or compressed with gzip, deflate, br or zstd",
  ],
};

/** Errors that one response lists: the client corrects those and tries again. */
const MAX_ERRORS = 20;
/** UTF-16 units of a client's text that a response repeats. */
const MAX_QUOTED_LENGTH = 40;
/** Characters of a path that a problem repeats. */
const MAX_INSTANCE_LENGTH = 1000;

/** Cuts a client's text, so that a response does not grow with the request. */
export const brief = (text: string): string =>
  text.length > MAX_QUOTED_LENGTH ? `${text.slice(0, MAX_QUOTED_LENGTH).toWellFormed()}…` : text;

/** 422 that lists the first MAX_ERRORS of these errors. */
export function invalid(errors: FieldError[]): Problem {
  const listed = errors.slice(0, MAX_ERRORS);
  const more = errors.length > MAX_ERRORS ? ["There are more errors."] : [];
  return new Problem("validation-failed", [...listed.map(({ message }) => message), ...more].join(" "), {
    errors: listed,
  });
}

export const unknownField = (pointer: string, name: string): FieldError => ({
  pointer,
  code: "unknown",
  message: `Unknown field '${brief(name)}'.`,
});

/** Errors of fastest-validator as field errors. It names all unknown fields of an object in one error. */
function fieldErrors(
  failures: RuleFailure[],
  pointerTo: (field: string, name?: string) => string,
): FieldError[] {
  return failures.flatMap(({ type, message = "Not valid.", field, actual }) =>
    type === "objectStrict"
      ? String(actual)
          // A name may contain the separator: one more than the response lists is enough.
          .split(", ", MAX_ERRORS + 1)
          .map((name) => unknownField(pointerTo(field ?? "", name), name))
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
 * A JSON Pointer fragment (RFC 6901 §6).
 * @param field as fastest-validator writes it: `operations[1].title`
 * @param name a field below it, with any characters, as the client wrote it
 */
export function bodyPointer(field: string, name?: string): string {
  const steps = field === "" ? [] : field.replace(/\[(\d+)\]/g, ".$1").split(".");
  if (name !== undefined) steps.push(brief(name).replaceAll("~", "~0").replaceAll("/", "~1"));
  return ["#", ...steps].join("/");
}
export const queryPointer = (field: string, name?: string): string => `?${brief(name ?? field)}`;

/** The path of a request as a URI reference (RFC 3986), also of a URL that is none: `/tasks/%ZZ`. Long paths are cut. */
export const instanceOf = (url: string): string =>
  (url.slice(0, MAX_INSTANCE_LENGTH).split("?")[0] as string).replace(
    /%(?![0-9a-f]{2})|[^!-~]|["<>[\]\\^`{|}#]/gi,
    (odd) => encodeURIComponent(odd.toWellFormed()),
  );

/** A param of the path, and the resource that it names. */
export interface PathResource extends Resource {
  param: string;
}

/** Where the params of a request come from. */
export interface Origin {
  method: string;
  /** In the order of the path. */
  path: PathResource[];
}

/**
 * The resources that a path names: `/tasks/:id/comments/:comment_id` a task and a comment.
 * @throws Error for an id behind a segment that is not known
 */
export function resourcesIn(pattern: string, values: Readonly<Record<string, string>>): PathResource[] {
  return [...pattern.matchAll(/([\w-]+)\/:(\w+)/g)].map(([, segment = "", param = ""]) => {
    const type = RESOURCE_OF_SEGMENT[segment];
    if (type === undefined) throw new Error(`no resource is known for ${segment}/:${param}`);
    return { param, type, id: values[param] ?? "" };
  });
}

function validationProblem(failures: RuleFailure[], { method, path }: Origin): Problem {
  // An id that no resource can have is a 404, whatever else is wrong.
  const nothing = path.find(({ param }) => failures.some(({ field }) => field === param));
  if (nothing !== undefined) return missing(nothing.type, brief(nothing.id));
  // Each failure gives at least one error.
  const first = failures.slice(0, MAX_ERRORS + 1);
  return invalid(fieldErrors(first, ["GET", "HEAD"].includes(method) ? queryPointer : bodyPointer));
}

/** Turns any error into the problem that the client sees. An unexpected error keeps its message to itself. */
export function toProblem(error: unknown, origin: Origin): Problem {
  const { name = "", type = "", message, data } = (error ?? {}) as Failure;
  const known = problemCode(error);
  if (known !== null) return new Problem(known, message, data ?? {});
  if (name === "ValidationError" && Array.isArray(data))
    return validationProblem(data as RuleFailure[], origin);

  if (Object.hasOwn(BODY, type)) return new Problem(...(BODY[type] as (typeof BODY)[string]));

  switch (name) {
    case "ServiceNotFoundError":
    case "ServiceNotAvailableError":
    case "RequestRejectedError":
    case "BrokerDisconnectedError":
      return retryLater("service-unavailable");
    case "QueueIsFullError":
      return retryLater("overloaded");
    case "RequestTimeoutError":
    case "RequestSkippedError":
      return retryLater("timeout");
    default:
      return new Problem(
        "internal-error",
        "The server failed unexpectedly and logged the error under the request_id",
      );
  }
}
