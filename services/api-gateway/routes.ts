import type { ActionName } from "../../core/kit.ts";
import type { AuthContract } from "../auth/auth.contract.ts";
import type { ProjectsContract } from "../projects/projects.contract.ts";
import type { TasksContract } from "../tasks/tasks.contract.ts";
import type { UsersContract } from "../users/users.contract.ts";
import type { Limit } from "./rate-limit.ts";

type RoutedAction =
  | ActionName<AuthContract>
  | ActionName<ProjectsContract>
  | ActionName<TasksContract>
  | ActionName<UsersContract>;

export interface Route {
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With `:name` for what the path names; it reaches the action as the param of that name. */
  path: string;
  action: RoutedAction;
  /** Status of a success; 200 unless said. */
  status: 200 | 201 | 202 | 204;
  /** For 201: where the new resource is (RFC 9110 §10.2.2), out of the answer and the path's params. */
  location?: (answer: Record<string, string>, path: Record<string, string>) => string;
  /** A rate limit stricter than the default. */
  limit?: Limit;
  /** A field that makes a write mail somebody: one that names it costs the budget `auth` too. */
  mails?: string;
  /** One resource with an entity tag: reads take `If-None-Match`, writes `If-Match`. */
  versioned?: boolean;
  /** A write that can come twice and happen once: takes `Idempotency-Key`. */
  idempotent?: boolean;
  /** Why a creating POST takes no `Idempotency-Key`: one that is sent is refused, since nothing would keep it. */
  keyless?: string;
  /** Answers a page, and a `Link` to the next one. */
  list?: boolean;
}

type Settings = Partial<Pick<Route, "versioned" | "idempotent" | "keyless" | "limit" | "mails">>;

const route =
  (method: Route["method"], status: Route["status"]) =>
  (path: string, action: RoutedAction, settings: Settings = {}): Route => ({
    method,
    path,
    action,
    status,
    ...settings,
  });
const get = route("GET", 200);
const put = route("PUT", 200);
const patch = route("PATCH", 200);
const remove = route("DELETE", 204);
const list = (path: string, action: RoutedAction): Route => ({ ...get(path, action), list: true });
const post = (path: string, action: RoutedAction, status: 200 | 202 | 204, settings: Settings = {}): Route =>
  route("POST", status)(path, action, settings);
const create = (
  path: string,
  action: RoutedAction,
  location: NonNullable<Route["location"]>,
  settings: Settings = {},
): Route => ({ ...route("POST", 201)(path, action, settings), location });

const versioned = { versioned: true } as const;
const idempotent = { idempotent: true } as const;
/** Of a resource with an entity tag, and safe to send again. */
const both = { ...versioned, ...idempotent } as const;

/** The routes of docs/reference.md, one line each. Each is served under /api/v1 and at the root. */
export const ROUTES: readonly Route[] = [
  create("/auth/register", "auth.register", ({ id }) => `/users/${id}`, {
    limit: "auth",
    keyless: "keys belong to a user, and no user exists yet",
  }),
  post("/auth/login", "auth.login", 200, { limit: "login" }),
  post("/auth/refresh", "auth.refresh", 200, { limit: "auth" }),
  post("/auth/logout", "auth.logout", 204),
  post("/auth/logout-all", "auth.logout_all", 204),
  get("/auth/me", "auth.me", versioned),
  list("/auth/sessions", "auth.list_sessions"),
  remove("/auth/sessions/:id", "auth.end_session"),
  post("/auth/verify-email", "auth.verify_email", 204, { limit: "auth" }),
  post("/auth/verify-email/resend", "auth.resend_verification", 202, { limit: "auth" }),
  post("/auth/password/forgot", "auth.forgot_password", 202, { limit: "auth" }),
  post("/auth/password/reset", "auth.reset_password", 204, { limit: "auth" }),
  post("/auth/password/change", "auth.change_password", 204, { limit: "login" }),
  list("/auth/tokens", "auth.list_tokens"),
  create("/auth/tokens", "auth.create_token", ({ id }) => `/auth/tokens/${id}`, {
    keyless: "the token is shown once and not stored, so the response cannot be repeated",
  }),
  remove("/auth/tokens/:id", "auth.revoke_token"),

  list("/users", "users.list"),
  get("/users/:id", "users.get", versioned),
  patch("/users/:id", "users.patch", { ...versioned, mails: "email" }),
  remove("/users/:id", "users.delete", versioned),

  list("/projects", "projects.list"),
  create("/projects", "projects.create", ({ id }) => `/projects/${id}`, both),
  get("/projects/:project", "projects.get", versioned),
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
  list("/projects/:project/tasks", "tasks.list_in_project"),
  create("/projects/:project/tasks", "tasks.create_in_project", ({ id }) => `/tasks/${id}`, both),

  list("/tasks", "tasks.list"),
  create("/tasks", "tasks.create", ({ id }) => `/tasks/${id}`, both),
  post("/tasks/bulk", "tasks.bulk", 200, idempotent),
  get("/tasks/:id", "tasks.get", versioned),
  put("/tasks/:id", "tasks.replace", versioned),
  patch("/tasks/:id", "tasks.patch", versioned),
  remove("/tasks/:id", "tasks.delete", versioned),
  post("/tasks/:id/restore", "tasks.restore", 200, both),
  post("/tasks/:id/assign", "tasks.assign", 200, both),
  post("/tasks/:id/transitions", "tasks.transition", 200, both),
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
