import {
  type FieldError,
  missing,
  Problem,
  problemCode,
  type Resource,
  retryLater,
} from "../../core/errors.ts";
import { RESOURCE_OF_SEGMENT } from "./routes.ts";

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
  "entity.too.large": ["payload-too-large", "A body can have at most 1 MiB"],
  "charset.unsupported": ["unsupported-media-type", "Send JSON in UTF-8"],
  "encoding.unsupported": [
    "unsupported-media-type",
    "Send the body uncompressed or compressed with gzip, deflate, br or zstd",
  ],
};

/** Errors that one answer lists: a client mends those, and asks again. */
const MAX_ERRORS = 20;
/** UTF-16 units of a client's own text that an answer repeats. */
const MAX_QUOTED = 40;
/** Characters of a path that a problem names. */
const MAX_INSTANCE = 1000;

/** A client's text, short enough to be repeated to it: an answer never grows with what was sent. */
export const brief = (text: string): string =>
  text.length > MAX_QUOTED ? `${text.slice(0, MAX_QUOTED).toWellFormed()}…` : text;

/** 422 for the first of these errors. */
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

/** fastest-validator names all unknown fields of an object in one error. */
function fieldErrors(
  failures: RuleFailure[],
  pointerTo: (field: string, name?: string) => string,
): FieldError[] {
  return failures.flatMap(({ type, message = "Not valid", field, actual }) =>
    type === "objectStrict"
      ? String(actual)
          // A name may hold what separates them: one more than are listed is enough.
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
 * RFC 6901 §6: `field` as fastest-validator writes one (`operations[1].title`), and below it a name of the client's,
 * in which any character may stand.
 */
export function bodyPointer(field: string, name?: string): string {
  const steps = field === "" ? [] : field.replace(/\[(\d+)\]/g, ".$1").split(".");
  if (name !== undefined) steps.push(brief(name).replaceAll("~", "~0").replaceAll("/", "~1"));
  return ["#", ...steps].join("/");
}
export const queryPointer = (field: string, name?: string): string => `?${brief(name ?? field)}`;

/** The path of a request as a URI reference (RFC 3986), which what clients send need not be: `/tasks/%ZZ`. A long one is cut. */
export const instanceOf = (url: string): string =>
  (url.slice(0, MAX_INSTANCE).split("?")[0] as string).replace(
    /%(?![0-9a-f]{2})|[^!-~]|["<>[\]\\^`{|}#]/gi,
    (odd) => encodeURIComponent(odd.toWellFormed()),
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

/**
 * The resources that a path names: `/tasks/:id/comments/:comment_id` a task and a comment.
 * @throws Error for an id behind a segment that is not known
 */
export function resourcesIn(pattern: string, values: Record<string, string>): Named[] {
  return [...pattern.matchAll(/([\w-]+)\/:(\w+)/g)].map(([, segment = "", param = ""]) => {
    const type = RESOURCE_OF_SEGMENT[segment];
    if (type === undefined) throw new Error(`no resource is known for ${segment}/:${param}`);
    return { param, type, id: values[param] ?? "" };
  });
}

function validationProblem(failures: RuleFailure[], { method, path }: Origin): Problem {
  // A path that can't name anything names nothing, whatever else is wrong.
  const nothing = path.find(({ param }) => failures.some(({ field }) => field === param));
  if (nothing !== undefined) return missing(nothing.type, brief(nothing.id));
  // Each failure is one error at least.
  const first = failures.slice(0, MAX_ERRORS + 1);
  return invalid(fieldErrors(first, ["GET", "HEAD"].includes(method) ? queryPointer : bodyPointer));
}

/** Whatever went wrong, as the problem that the client sees. Nothing that we did not foresee tells its message. */
export function toProblem(error: unknown, origin: Origin): Problem {
  const { name = "", type = "", code, message, data } = (error ?? {}) as Failure;
  const known = problemCode(error);
  if (known !== null) return new Problem(known, message, data ?? {});
  if (name === "ValidationError" && Array.isArray(data))
    return validationProblem(data as RuleFailure[], origin);

  if (Object.hasOwn(BODY, type)) return new Problem(...(BODY[type] as (typeof BODY)[string]));
  if (type === "UNABLE_DECODE_PARAM") return new Problem("malformed-request", "The path cannot be decoded");

  switch (name) {
    case "ServiceNotFoundError":
    case "ServiceNotAvailableError":
    case "ServiceUnavailableError":
    case "RequestRejectedError":
    case "BrokerDisconnectedError":
      return retryLater("service-unavailable");
    case "QueueIsFullError":
      return retryLater("overloaded");
    case "RequestTimeoutError":
    case "RequestSkippedError":
      return retryLater("timeout");
    default:
      // moleculer-web says 503 when no node offers a routed action.
      return code === 503
        ? retryLater("service-unavailable")
        : new Problem(
            "internal-error",
            "The server failed unexpectedly and logged the error under the request_id",
          );
  }
}
