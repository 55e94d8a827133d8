import { Problem } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import { type Page, type PageOf, pageOf } from "../../core/page.ts";
import type { Queryable, Statement } from "../../mixins/database.ts";
import type { ProjectRole, ProjectStatus } from "../projects/projects.contract.ts";
import { TASK_STATUSES, type Task, type TaskStatus } from "./tasks.contract.ts";
import { may } from "./tasks.policy.ts";
import { taskView, type TaskRow } from "./tasks.view.ts";

const COLUMNS = `t.id, t.title, t.description, t.status, t.priority, t.project_id, t.category_id, t.created_by,
  t.assigned_to, t.due_date, t.completed_at, t.version, t.created_at, t.updated_at, t.deleted_at`;

/** A task with what the policy asks about the caller and the project, out of one snapshot. */
export interface FoundTask extends TaskRow {
  project_role: ProjectRole | null;
  project_status: ProjectStatus | null;
}

/**
 * A task that the caller may see. Plan: primary keys of tasks, projects and members.
 * @param lock hold the task's row until the transaction ends
 * @throws Problem not-found for one that isn't there, is deleted (or its project is), or that the caller may not see
 */
export async function findTask(db: Queryable, actor: Actor, id: string, lock = false): Promise<FoundTask> {
  const [task] = await db.query<FoundTask>({
    name: lock ? "tasks-find-locked" : "tasks-find",
    text: `SELECT ${COLUMNS}, m.role AS project_role, p.status AS project_status
           FROM tasks.tasks t
           LEFT JOIN projects.summaries p ON p.id = t.project_id
           LEFT JOIN projects.memberships m ON m.project_id = t.project_id AND m.user_id = $2
           WHERE t.id = $1 AND t.deleted_at IS NULL AND (t.project_id IS NULL OR p.id IS NOT NULL)
           ${lock ? "FOR UPDATE OF t" : ""}`,
    values: [id, actor.id],
  });
  if (task === undefined || !may(actor, "read", task)) throw new Problem("not-found");
  return task;
}

export interface ProjectStanding {
  id: string;
  status: ProjectStatus;
  project_role: ProjectRole | null;
}

const PROJECT = (project: string): string => `
  SELECT p.id, p.status, m.role AS project_role
  FROM projects.summaries p LEFT JOIN projects.memberships m ON m.project_id = p.id AND m.user_id = $1
  WHERE p.${isId(project) ? "id" : "slug"} = $2`;

const ofProject = ({ id, project_role }: ProjectStanding) => ({
  project_id: id,
  project_role,
  created_by: "",
  assigned_to: null,
});

/**
 * A project by id or slug, for the tasks in it.
 * @throws Problem not-found when it isn't there or the caller may not see it
 */
export async function findProject(db: Queryable, actor: Actor, project: string): Promise<ProjectStanding> {
  const [found] = await db.query<ProjectStanding>({ text: PROJECT(project), values: [actor.id, project] });
  if (found === undefined || !may(actor, "read", ofProject(found))) throw new Problem("not-found");
  return found;
}

/** Whether the caller may create tasks in a project that they may see. */
export const mayCreateIn = (actor: Actor, project: ProjectStanding): boolean =>
  may(actor, "create", ofProject(project));

/** Whether the caller may assign the tasks of a project that they may see. */
export const mayAssignIn = (actor: Actor, project: ProjectStanding): boolean =>
  may(actor, "assign", ofProject(project));

/** Whether a user is a member of a project that is not deleted. Plan: primary keys of members and projects. */
export async function isMember(db: Queryable, projectId: string, userId: string): Promise<boolean> {
  const rows = await db.query({
    name: "tasks-is-member",
    text: "SELECT FROM projects.memberships WHERE project_id = $1 AND user_id = $2",
    values: [projectId, userId],
  });
  return rows.length > 0;
}

export interface TaskFilter {
  /** Id or slug: that project's tasks, which the caller must be allowed to see. */
  project?: string;
  project_id?: string;
  status?: TaskStatus[];
}

/** What the caller may see, as a condition on `t`; `$1` is their id. */
function visibleTo(actor: Actor): string {
  if (actor.role !== "user")
    return "(t.project_id IS NULL OR t.project_id IN (SELECT id FROM projects.summaries))";
  return `(t.project_id = ANY (ARRAY(SELECT project_id FROM projects.memberships WHERE user_id = $1))
           OR (t.project_id IS NULL AND t.created_by = $1) OR (t.project_id IS NULL AND t.assigned_to = $1))`;
}

/**
 * The list as one statement: the page, the total, and the project that it is of, each null when there is none.
 * Plan: tasks_project_idx or tasks_project_status_idx for one project; all of those and the two personal ones under
 * a BitmapOr for everything that the caller may see.
 */
export function listStatement(actor: Actor, filter: TaskFilter, { limit, offset }: PageOf): Statement {
  const values: unknown[] = [actor.id];
  const parameter = (value: unknown): string => `$${values.push(value)}`;
  const conditions = ["t.deleted_at IS NULL"];
  let project = "SELECT NULL::uuid AS id, NULL AS status, NULL AS project_role WHERE $1::uuid IS NULL";

  if (filter.project !== undefined) {
    values.push(filter.project);
    project = PROJECT(filter.project);
    conditions.push("t.project_id = (SELECT id FROM project)");
  } else conditions.push(visibleTo(actor));
  if (filter.project_id !== undefined) conditions.push(`t.project_id = ${parameter(filter.project_id)}`);
  if (filter.status !== undefined) conditions.push(`t.status = ANY (${parameter(filter.status)}::text[])`);

  const matching = `FROM tasks.tasks t WHERE ${conditions.join(" AND ")}`;
  const text = `
    WITH project AS (${project}),
    counted AS (SELECT count(*) AS total ${matching}),
    page AS (SELECT ${COLUMNS} ${matching} ORDER BY t.id DESC LIMIT ${parameter(limit)} OFFSET ${parameter(offset)})
    SELECT project.id AS of_project, project.project_role AS of_role, counted.total, page.*
    FROM counted LEFT JOIN project ON true LEFT JOIN page ON true`;
  return { text, values };
}

interface ListRow extends TaskRow {
  of_project: string | null;
  of_role: ProjectRole | null;
  total: number;
}

/**
 * The tasks that the caller may see, newest first.
 * @throws Problem not-found when `filter.project` isn't there or the caller may not see it
 */
export async function listTasks(
  db: Queryable,
  actor: Actor,
  filter: TaskFilter,
  page: PageOf,
): Promise<Page<Task>> {
  const rows = await db.query<ListRow>(listStatement(actor, filter, page));
  if (filter.project !== undefined) {
    const { of_project = null, of_role = null } = rows[0] ?? {};
    const standing = { id: of_project as string, status: "active", project_role: of_role } as const;
    if (of_project === null || !may(actor, "read", ofProject(standing))) throw new Problem("not-found");
  }
  const { items, ...rest } = pageOf(rows, page);
  return { items: items.map(taskView), ...rest };
}

/** The first `limit` of the tasks that are assigned to a user, but for those that are deleted or whose project is. */
export async function findAssigned(db: Queryable, userId: string, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "tasks-assigned",
    text: `SELECT t.id FROM tasks.tasks t LEFT JOIN projects.summaries p ON p.id = t.project_id
           WHERE t.assigned_to = $1 AND t.deleted_at IS NULL AND (t.project_id IS NULL OR p.id IS NOT NULL)
           ORDER BY t.id LIMIT $2`,
    values: [userId, limit],
  });
  return rows.map(({ id }) => id);
}

/** Counts a project's tasks by status. Plan: an index-only scan of tasks_project_status_idx. */
export async function countByStatus(db: Queryable, projectId: string): Promise<Record<TaskStatus, number>> {
  const rows = await db.query<{ status: TaskStatus; count: number }>({
    name: "tasks-count",
    text: "SELECT status, count(*) FROM tasks.tasks WHERE project_id = $1 AND deleted_at IS NULL GROUP BY status",
    values: [projectId],
  });
  const none = Object.fromEntries(TASK_STATUSES.map((status) => [status, 0])) as Record<TaskStatus, number>;
  return { ...none, ...Object.fromEntries(rows.map(({ status, count }) => [status, count])) };
}
