/** What the OpenAPI document has to know of a route and the action behind it. */
import type { ProblemCode } from "../../core/errors.ts";
import type { ActionDocs, Auth } from "../../core/kit.ts";
import type { Route } from "./routes.ts";

/** An action as its service defines it. */
export interface DocumentedAction {
  auth: Auth;
  safe: boolean;
  projectBound: boolean;
  /** Rules of fastest-validator. */
  params: Record<string, unknown>;
  docs: ActionDocs | undefined;
}

/** An action that clients reach. */
export type Documented = DocumentedAction & { docs: ActionDocs };

export const isRead = ({ method }: Route): boolean => method === "GET";
/** A resource that the request creates has no version to match. */
export const takesIfMatch = (route: Route): boolean =>
  route.versioned === true && !isRead(route) && route.location === undefined;
export const pathParams = ({ path }: Route): string[] =>
  [...path.matchAll(/:(\w+)/g)].map(([, name]) => name as string);

/** Every problem that a request to this route can meet. */
export function problemsOf(route: Route, { auth, safe, projectBound, docs }: Documented): ProblemCode[] {
  const open = auth === "public";
  const codes: [boolean, ...ProblemCode[]][] = [
    [true, "malformed-request", "request-timeout", "expectation-failed", "headers-too-large"],
    [route.status !== 204, "not-acceptable"],
    [!open, "unauthenticated", "invalid-token"],
    // For a personal token: the action needs a session, or it writes and the scope is `read`, or it is not bound to
    // projects and the token is.
    [!open && (auth !== "user" || !safe || !projectBound), "forbidden"],
    [pathParams(route).length > 0, "not-found"],
    [!isRead(route), "payload-too-large", "unsupported-media-type"],
    [true, "validation-failed", "rate-limited"],
    [takesIfMatch(route), "precondition-failed"],
    [takesIfMatch(route) && route.method !== "POST", "precondition-required"],
    [route.idempotent === true, "idempotency-key-in-flight", "idempotency-key-reused"],
    [true, ...(docs.problems ?? [])],
    [true, "internal-error", "service-unavailable", "database-unavailable", "overloaded", "timeout"],
  ];
  return [...new Set(codes.flatMap(([applies, ...named]) => (applies ? named : [])))];
}

/** `tasks.create_comment` to `tasksCreateComment` */
export const operationId = (action: string): string =>
  action.replace(/[._](\w)/g, (_, letter: string) => letter.toUpperCase());
export const capitalised = (name: string): string => name.charAt(0).toUpperCase() + name.slice(1);
