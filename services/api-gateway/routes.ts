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
}

const get = (path: string, action: RoutedAction): Route => ({ method: "GET", path, action, status: 200 });
const post = (path: string, action: RoutedAction, status: 200 | 202 | 204 = 200): Route => ({
  method: "POST",
  path,
  action,
  status,
});
const create = (path: string, action: RoutedAction, location: NonNullable<Route["location"]>): Route => ({
  method: "POST",
  path,
  action,
  status: 201,
  location,
});
const patch = (path: string, action: RoutedAction): Route => ({ method: "PATCH", path, action, status: 200 });
const remove = (path: string, action: RoutedAction): Route => ({
  method: "DELETE",
  path,
  action,
  status: 204,
});

const limited = (limit: Limit, route: Route): Route => ({ ...route, limit });

/** The table of contract.md, one line a route. Each is served under /api/v1 and at the root. */
export const ROUTES: readonly Route[] = [
  limited(
    "auth",
    create("/auth/register", "auth.register", ({ id }) => `/users/${id}`),
  ),
  limited("login", post("/auth/login", "auth.login")),
  limited("auth", post("/auth/refresh", "auth.refresh")),
  post("/auth/logout", "auth.logout", 204),
  post("/auth/logout-all", "auth.logout_all", 204),
  get("/auth/me", "auth.me"),
  get("/auth/sessions", "auth.list_sessions"),
  remove("/auth/sessions/:id", "auth.end_session"),
  limited("auth", post("/auth/verify-email", "auth.verify_email", 204)),
  limited("auth", post("/auth/verify-email/resend", "auth.resend_verification", 202)),
  limited("auth", post("/auth/password/forgot", "auth.forgot_password", 202)),
  limited("auth", post("/auth/password/reset", "auth.reset_password", 204)),
  limited("login", post("/auth/password/change", "auth.change_password", 204)),
  get("/auth/tokens", "auth.list_tokens"),
  create("/auth/tokens", "auth.create_token", ({ id }) => `/auth/tokens/${id}`),
  remove("/auth/tokens/:id", "auth.revoke_token"),

  get("/users", "users.list"),
  get("/users/:id", "users.get"),
  patch("/users/:id", "users.patch"),
  remove("/users/:id", "users.delete"),

  get("/projects", "projects.list"),
  create("/projects", "projects.create", ({ id }) => `/projects/${id}`),
  get("/projects/:project", "projects.get"),
  get("/projects/:project/members", "projects.list_members"),
  create(
    "/projects/:project/members",
    "projects.add_member",
    ({ user_id }, { project }) => `/projects/${project}/members/${user_id}`,
  ),
  patch("/projects/:project/members/:user_id", "projects.update_member"),
  remove("/projects/:project/members/:user_id", "projects.remove_member"),
  get("/projects/:project/tasks", "tasks.list_in_project"),
  create("/projects/:project/tasks", "tasks.create_in_project", ({ id }) => `/tasks/${id}`),

  get("/tasks", "tasks.list"),
  create("/tasks", "tasks.create", ({ id }) => `/tasks/${id}`),
  get("/tasks/:id", "tasks.get"),
  patch("/tasks/:id", "tasks.patch"),
  remove("/tasks/:id", "tasks.delete"),
  post("/tasks/:id/assign", "tasks.assign"),
  post("/tasks/:id/transitions", "tasks.transition"),
];
