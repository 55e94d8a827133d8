/** The route table: everything that the gateway knows of services and their actions by name. */
import type { ServiceBroker } from "moleculer";
import type { CachedAnswer } from "../../core/cached-answer.ts";
import { DEMO } from "../../core/demo.ts";
import type { Resource } from "../../core/errors.ts";
import type { ActionName } from "../../core/kit.ts";
import { auth, type AuthContract } from "../auth/auth.contract.ts";
import { notifier, type NotifierContract } from "../notifier/notifier.contract.ts";
import { cachedProject, cachedProjectList, type ProjectsContract } from "../projects/projects.contract.ts";
import { cachedTask, cachedTaskList, tasks, type TasksContract } from "../tasks/tasks.contract.ts";
import { users, type UsersContract } from "../users/users.contract.ts";
import type { VerifiedToken } from "./authenticate.ts";
import type { Follow } from "./open-event-streams.ts";
import { atLogin, atOwnAccount, type FindAttempt } from "./login-attempts.ts";
import type { Rest } from "./parts.ts";

type RoutedAction =
  | ActionName<AuthContract>
  | ActionName<NotifierContract>
  | ActionName<ProjectsContract>
  | ActionName<TasksContract>
  | ActionName<UsersContract>;

/** One line of the table, and all that is special about it. */
export interface Route extends RouteOptions {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With `:name` for each param that the path gives to the action. */
  path: string;
  action: RoutedAction;
  /** The status of a success. */
  status: 200 | 201 | 202 | 204;
  /** The path of the resource that a 201 created (RFC 9110 §10.2.2), from the response body and the path's params. */
  location?: (body: Record<string, string>, path: Readonly<Record<string, string>>) => string;
  /** The response is a page, with a `Link` to the next one. */
  list?: boolean;
}

interface RouteOptions {
  /** The gateway keeps answers, and says the same again while nothing in them has changed (answers.ts). */
  cached?: CachedAnswer;
  /** The response is a text of lines (ndjson), of which the action returns the first part. */
  rest?: Rest;
  /** The resource has an entity tag: reads take `If-None-Match`, writes `If-Match`. */
  versioned?: boolean;
  /** The write takes `Idempotency-Key`: it can come twice and happens once. */
  idempotent?: boolean;
  /** The POST changes nothing: its params are too long for a query. */
  reads?: boolean;
  /** Entries that an object of the body may have, where they may be more than elsewhere. */
  maxFields?: number;
  /** The field that makes the request wait for events. The wait ends with the client, with the token, and with this node. */
  waitField?: string;
  /** The response is a stream of server-sent events: the action says where it begins, this function goes on from there. */
  follow?: Follow;
  /** Why a POST refuses `Idempotency-Key`: its response is not stored. */
  keyless?: string;
  /** The budget that each request costs, where it is stricter than `default`. */
  budget?: "auth";
  /** How many requests the body stands for; one unless said. */
  countRequests?: (params: Record<string, unknown>) => number;
  /** A field that makes the service send a mail: a request that names it costs the budget `auth` too. */
  mailField?: string;
  /** The request tries a password: its failures count against the account. */
  attempt?: FindAttempt;
  /** Few such requests run at once in one gateway: each of them hashes a password. */
  slot?: boolean;
  /** The action learns the client's address and user agent (`meta.client`). */
  tellsClient?: boolean;
  /** The request may carry the refresh token in its cookie instead of the body. */
  readsRefreshCookie?: boolean;
  /** The response sets or clears the cookie of the refresh token. */
  setsRefreshCookie?: boolean;
}

/** Whether requests of a route count as under way: not those that wait for events or for their turn to be hashed. */
export const isUnderWay = ({ budget, waitField, follow }: Route): boolean =>
  budget === undefined && waitField === undefined && follow === undefined;

/** Whether the time that a request of the route takes says how busy the system is: not where its length decides. */
export const hasTypicalTime = ({ rest, countRequests }: Route): boolean =>
  rest === undefined && countRequests === undefined;

/** The groups of operations in the API's document: one a service. */
export const TAGS: readonly { name: string; description: string }[] = [
  { name: "auth", description: "Registration, logins, sessions, personal access tokens" },
  { name: "users", description: "User accounts as others see them" },
  { name: "projects", description: "Projects, their members and their events" },
  { name: "tasks", description: "Tasks, their comments and categories" },
  { name: "notifier", description: "The log of events, without a socket" },
];

export const tagOf = ({ action }: Route): string => action.split(".")[0] as string;

/** Which kind of resource an id in a path names, by the segment before it. */
export const RESOURCE_OF_SEGMENT: Readonly<Record<string, Resource["type"]>> = {
  users: "user",
  sessions: "session",
  tokens: "token",
  projects: "project",
  members: "member",
  tasks: "task",
  comments: "comment",
  categories: "category",
};

/** Verifies a personal access token, which only its service can. @throws Problem invalid-token */
export async function verifyPersonalToken(broker: ServiceBroker, token: string): Promise<VerifiedToken> {
  const { actor, expires_at } = await auth.call(broker, "verify_token", { token });
  return { actor, expiresAt: expires_at };
}

/** Whether the demo's account is there; not, as long as that can't be asked. */
export const hasDemo = (broker: ServiceBroker): Promise<boolean> =>
  users.call(broker, "account_of", { login: DEMO.login }).then(
    (id) => id !== null,
    () => false,
  );

const snapshot: Rest = {
  next: (broker, { id, node }) => tasks.call(broker, "read_snapshot", { id: id as string }, node),
  end: (broker, { id, node }) => tasks.call(broker, "end_snapshot", { id: id as string }, node),
};

const login = atLogin((broker, name) => users.call(broker, "account_of", { login: name }));

const follow: Follow = (from, params) => notifier.call(from, "follow", params);

const route =
  (method: Route["method"], status: Route["status"]) =>
  (path: string, action: RoutedAction, options: RouteOptions = {}): Route => ({
    method,
    path,
    action,
    status,
    ...options,
  });
const get = route("GET", 200);
const put = route("PUT", 200);
const patch = route("PATCH", 200);
const remove = route("DELETE", 204);
const list = (path: string, action: RoutedAction, options: RouteOptions = {}): Route => ({
  ...get(path, action, options),
  list: true,
});
const post = (
  path: string,
  action: RoutedAction,
  status: 200 | 202 | 204,
  options: RouteOptions = {},
): Route => route("POST", status)(path, action, options);
const create = (
  path: string,
  action: RoutedAction,
  location: NonNullable<Route["location"]>,
  options: RouteOptions = {},
): Route => ({ ...route("POST", 201)(path, action, options), location });

const versioned = { versioned: true } as const;
const idempotent = { idempotent: true } as const;
/** A write on a resource with an entity tag that is also safe to send again. */
const both = { ...versioned, ...idempotent } as const;
const strict = { budget: "auth" } as const;
const setsRefreshCookie = { setsRefreshCookie: true } as const;

const countOperations = ({ operations }: Record<string, unknown>): number =>
  Array.isArray(operations) ? Math.max(1, operations.length) : 1;

/** The routes of docs/reference.md, one line each. Each is served under /api/v1 and at the root. */
export const ROUTES: readonly Route[] = [
  create("/auth/register", "auth.register", ({ id }) => `/users/${id}`, {
    ...strict,
    keyless: "keys belong to a user, and no user exists yet",
  }),
  post("/auth/login", "auth.login", 200, {
    ...strict,
    ...setsRefreshCookie,
    slot: true,
    attempt: login,
    tellsClient: true,
  }),
  post("/auth/refresh", "auth.refresh", 200, {
    ...strict,
    ...setsRefreshCookie,
    readsRefreshCookie: true,
  }),
  post("/auth/logout", "auth.logout", 204, setsRefreshCookie),
  post("/auth/logout-all", "auth.logout_all", 204, setsRefreshCookie),
  get("/auth/me", "auth.me", versioned),
  list("/auth/sessions", "auth.list_sessions"),
  remove("/auth/sessions/:id", "auth.end_session"),
  post("/auth/verify-email", "auth.verify_email", 204, strict),
  post("/auth/verify-email/resend", "auth.resend_verification", 202, strict),
  post("/auth/password/forgot", "auth.forgot_password", 202, strict),
  post("/auth/password/reset", "auth.reset_password", 204, strict),
  post("/auth/password/change", "auth.change_password", 204, { ...strict, attempt: atOwnAccount }),
  list("/auth/tokens", "auth.list_tokens"),
  create("/auth/tokens", "auth.create_token", ({ id }) => `/auth/tokens/${id}`, {
    keyless: "the token is shown once and not stored, so the response cannot be repeated",
  }),
  remove("/auth/tokens/:id", "auth.revoke_token"),

  list("/users", "users.list"),
  get("/users/:id", "users.get", versioned),
  patch("/users/:id", "users.patch", { ...versioned, mailField: "email" }),
  remove("/users/:id", "users.delete", versioned),

  list("/projects", "projects.list", { cached: cachedProjectList }),
  create("/projects", "projects.create", ({ id }) => `/projects/${id}`, both),
  get("/projects/:project", "projects.get", { ...versioned, cached: cachedProject }),
  put("/projects/:project", "projects.replace", versioned),
  patch("/projects/:project", "projects.patch", versioned),
  remove("/projects/:project", "projects.delete", versioned),
  post("/projects/:project/restore", "projects.restore", 200, both),
  list("/projects/:project/members", "projects.list_members"),
  create(
    "/projects/:project/members",
    "projects.add_member",
    ({ user_id }, { project }) => `/projects/${project}/members/${user_id}`,
    idempotent,
  ),
  get("/projects/:project/members/:user_id", "projects.get_member"),
  patch("/projects/:project/members/:user_id", "projects.update_member"),
  remove("/projects/:project/members/:user_id", "projects.remove_member"),
  list("/projects/:project/events", "projects.list_events"),
  get("/projects/:project/events/stream", "projects.stream_events", { follow }),
  get("/projects/:project/snapshot", "tasks.snapshot", { rest: snapshot }),
  list("/projects/:project/tasks", "tasks.list_in_project", { cached: cachedTaskList }),
  create("/projects/:project/tasks", "tasks.create_in_project", ({ id }) => `/tasks/${id}`, both),

  list("/events", "notifier.list_events"),
  get("/events/stream", "notifier.stream_events", { follow }),
  post("/sync", "notifier.sync", 200, {
    reads: true,
    keyless: "it changes nothing, so it can be sent again without one",
    maxFields: 5000,
    waitField: "wait",
  }),

  list("/tasks", "tasks.list", { cached: cachedTaskList }),
  create("/tasks", "tasks.create", ({ id }) => `/tasks/${id}`, both),
  post("/tasks/bulk", "tasks.bulk", 200, { ...idempotent, countRequests: countOperations }),
  get("/tasks/:id", "tasks.get", { ...versioned, cached: cachedTask }),
  put("/tasks/:id", "tasks.replace", versioned),
  patch("/tasks/:id", "tasks.patch", versioned),
  remove("/tasks/:id", "tasks.delete", versioned),
  post("/tasks/:id/restore", "tasks.restore", 200, both),
  post("/tasks/:id/assign", "tasks.assign", 200, both),
  post("/tasks/:id/transitions", "tasks.transition", 200, both),
  post("/tasks/:id/move", "tasks.move", 200, both),
  post("/tasks/:id/redact", "tasks.redact", 200, both),
  list("/tasks/:id/comments", "tasks.list_comments"),
  create(
    "/tasks/:id/comments",
    "tasks.create_comment",
    ({ id }, { id: task }) => `/tasks/${task}/comments/${id}`,
    both,
  ),
  get("/tasks/:id/comments/:comment_id", "tasks.get_comment", versioned),
  patch("/tasks/:id/comments/:comment_id", "tasks.patch_comment", versioned),
  remove("/tasks/:id/comments/:comment_id", "tasks.delete_comment", versioned),
  post("/tasks/:id/comments/:comment_id/redact", "tasks.redact_comment", 200, both),

  list("/categories", "tasks.list_categories"),
  create("/categories", "tasks.create_category", ({ id }) => `/categories/${id}`, both),
  get("/categories/:id", "tasks.get_category", versioned),
  patch("/categories/:id", "tasks.patch_category", versioned),
  remove("/categories/:id", "tasks.delete_category", versioned),
];

/** The services that routes lead to: without one of them the gateway is not ready. */
export const ROUTED_SERVICES: readonly string[] = [...new Set(ROUTES.map(tagOf))];
