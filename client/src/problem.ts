/** Errors that an application sees: a problem that the server told (RFC 9457), or no answer at all. */
import type { components } from "./api.ts";

export type Problem = components["schemas"]["Problem"];

/** The code of a problem: `not-found` of `/problems/not-found`. */
export const codeOf = ({ type }: Pick<Problem, "type">): string => type.slice(type.lastIndexOf("/") + 1);

/** The server refused something, and said why. */
export class ProblemError extends Error {
  readonly problem: Problem;
  /** After how many seconds the server may be asked again; null where it did not say so. */
  readonly retryAfter: number | null;

  constructor(problem: Problem, retryAfter: number | null = null) {
    super(`${problem.title}: ${problem.detail}`);
    this.name = "ProblemError";
    this.problem = problem;
    this.retryAfter = retryAfter;
  }

  /** `not-found`, `precondition-failed` …: the table is at `/problems` of the server. */
  get code(): string {
    return codeOf(this.problem);
  }

  /** The HTTP status. */
  get status(): number {
    return this.problem.status;
  }
}

/** No answer came: the server could not be reached, or took too long. Whether it did its work is not known. */
export class NetworkError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = "NetworkError";
  }
}

/** What the client says where nobody is logged in (any more). */
export const LOGIN_NEEDED: Problem = {
  type: "/problems/unauthenticated",
  title: "Authentication required",
  status: 401,
  detail: "The user has to log in.",
};

/** Whether an error says that the user has to log in. */
export const isLoginNeeded = (error: unknown): boolean =>
  error instanceof ProblemError && error.status === 401;

/** The seconds of `Retry-After`; null without it. */
export function retryAfterOf({ headers }: Response): number | null {
  const value = headers.get("Retry-After");
  return value !== null && /^\d+$/.test(value) ? Number(value) : null;
}

const isProblem = (body: unknown): body is Problem =>
  typeof body === "object" && body !== null && typeof (body as Partial<Problem>).type === "string";

/** The error of an answer. A proxy's page becomes a problem as well. */
export function errorOf(response: Response, body: unknown): ProblemError {
  const { status, statusText } = response;
  const problem = isProblem(body)
    ? body
    : {
        type: "about:blank",
        title: statusText || `HTTP ${status}`,
        status,
        detail: "The answer is not Taskwire's.",
      };
  return new ProblemError(problem, retryAfterOf(response));
}

/**
 * The body of an answer of `client.rest`.
 * @throws ProblemError where the server refused the request
 */
export async function unwrap<Data, Fault>(
  result: Promise<{ data?: Data; error?: Fault; response: Response }>,
): Promise<NonNullable<Data>> {
  const { data, error, response } = await result;
  if (!response.ok) throw errorOf(response, error);
  return data as NonNullable<Data>;
}
