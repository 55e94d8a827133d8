/** Reads of single tasks, and of the projects that tasks lie in, each with the caller's standing there. */
import { missing } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { type Guards, projectStream } from "../../mixins/event-log.ts";
import { QUICKLY_COUNTED } from "../../mixins/listing.ts";
import type { ProjectRole, ProjectStatus } from "../projects/projects.contract.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { TASK_STATUSES, type TaskStatus } from "./tasks.contract.ts";
import { inProject, may } from "./tasks.policy.ts";
import type { DetailRow } from "./tasks.view.ts";
import type { Totals } from "./totals.ts";

/** The caller's standing in the task's project, from the same snapshot as the task. */
interface Standing {
  project_role: ProjectRole | null;
  project_status: ProjectStatus | null;
  /** Moves with every change of rights in the project (mixins/event-log.ts, Guards). */
  members_version: number | null;
}

export type FoundTask = TaskRow & Standing;

const STANDING = `m.role AS project_role, p.status AS project_status, s.members_version`;
/** `$2` is the caller's id. */
const WITH_ROLE = `
  LEFT JOIN projects.summaries p ON p.id = t.project_id
  LEFT JOIN projects.memberships m ON m.project_id = t.project_id AND m.user_id = $2`;
const WITH_STANDING = `${WITH_ROLE}
  LEFT JOIN events.streams s ON s.name = 'project:' || t.project_id`;

/** The rights in the project that a write was decided by; they must not have moved when it commits. */
export const guardsOf = ({
  project_id,
  members_version,
}: {
  project_id: string | null;
  members_version: number | null;
}): Guards =>
  project_id === null || members_version === null ? {} : { [projectStream(project_id)]: members_version };

/** A task whose project is deleted is as gone as a deleted task. */
export const PROJECT_THERE = "(t.project_id IS NULL OR p.id IS NOT NULL)";

/**
 * A task that the caller may see. Plan: primary keys of tasks, projects and members.
 * @param lock locks the task's row until the transaction ends
 * @param deleted looks among the deleted tasks instead
 * @throws Problem not-found, also for a task in a deleted project and for one that the caller may not see
 */
export async function findTask(
  db: Queryable,
  actor: Actor,
  id: string,
  { lock = false, deleted = false } = {},
): Promise<FoundTask> {
  const [task] = await db.query<FoundTask>({
    name: `tasks-find${lock ? "-locked" : ""}${deleted ? "-deleted" : ""}`,
    text: `SELECT ${taskColumns.selected}, ${STANDING} FROM tasks.tasks t ${WITH_STANDING}
           WHERE t.id = $1 AND t.deleted_at IS ${deleted ? "NOT NULL" : "NULL"} AND ${PROJECT_THERE}
           ${lock ? "FOR NO KEY UPDATE OF t" : ""}`,
    values: [id, actor.id],
  });
  if (task === undefined || !may(actor, "read", task)) throw missing("task", id);
  return task;
}

/** The tasks of `ids` that the caller may see, locked in the order of their ids. Plan: as findTask. */
export async function lockTasks(tx: Queryable, actor: Actor, ids: string[]): Promise<FoundTask[]> {
  const found = await tx.query<FoundTask>({
    name: "tasks-lock",
    text: `SELECT ${taskColumns.selected}, ${STANDING} FROM tasks.tasks t ${WITH_STANDING}
           WHERE t.id = ANY ($1::uuid[]) AND t.deleted_at IS NULL AND ${PROJECT_THERE}
           ORDER BY t.id FOR NO KEY UPDATE OF t`,
    values: [ids, actor.id],
  });
  return found.filter((task) => may(actor, "read", task));
}

/** A task with the project, the people and the category that it names. Plan: primary keys, and comments_task_idx. @throws Problem not-found */
export async function findDetail(db: Queryable, actor: Actor, id: string): Promise<DetailRow> {
  const [task] = await db.query<DetailRow & Pick<Standing, "project_role">>({
    name: "tasks-detail",
    text: `SELECT ${taskColumns.selected}, m.role AS project_role, p.slug AS project_slug, p.name AS project_name,
                  c.name AS category_name, c.color AS category_color,
                  row_to_json(creator) AS creator, row_to_json(assignee) AS assignee,
                  (SELECT count(*) FROM tasks.comments WHERE task_id = t.id) AS comment_count
           FROM tasks.tasks t ${WITH_ROLE} LEFT JOIN tasks.categories c ON c.id = t.category_id AND c.deleted_at IS NULL
           LEFT JOIN users.people creator ON creator.id = t.created_by
           LEFT JOIN users.people assignee ON assignee.id = t.assigned_to
           WHERE t.id = $1 AND t.deleted_at IS NULL AND ${PROJECT_THERE}`,
    values: [id, actor.id],
  });
  if (task === undefined || !may(actor, "read", task)) throw missing("task", id);
  return task;
}

export interface ProjectStanding {
  id: string;
  status: ProjectStatus;
  project_role: ProjectRole | null;
  members_version: number | null;
}

/**
 * The statement that reads projects with the caller's role in each.
 * @param caller the parameter that holds the caller's id
 * @param more columns; `s` is the project's stream
 */
export const projectsWhere = (condition: string, caller: string, more = ""): string => `
  SELECT p.id, p.status, m.role AS project_role, s.members_version${more}
  FROM projects.summaries p LEFT JOIN projects.memberships m ON m.project_id = p.id AND m.user_id = ${caller}
  LEFT JOIN events.streams s ON s.name = 'project:' || p.id
  WHERE ${condition}`;

/**
 * A project by id or slug, for the tasks in it. Plan: primary key or projects_slug_key.
 * @throws Problem not-found, also for a project that the caller may not see
 */
export async function findProject(db: Queryable, actor: Actor, project: string): Promise<ProjectStanding> {
  const key = isId(project) ? "id" : "slug";
  const [found] = await db.query<ProjectStanding>({
    name: `tasks-project-by-${key}`,
    text: projectsWhere(`p.${key} = $2`, "$1"),
    values: [actor.id, project],
  });
  if (found === undefined || !may(actor, "read", inProject(found))) throw missing("project", project);
  return found;
}

/** The projects of `ids` that the caller may see. Plan: primary keys. */
export async function findProjects(db: Queryable, actor: Actor, ids: string[]): Promise<ProjectStanding[]> {
  const found = await db.query<ProjectStanding>({
    name: "tasks-projects",
    text: projectsWhere("p.id = ANY ($2::uuid[])", "$1"),
    values: [actor.id, ids],
  });
  return found.filter((project) => may(actor, "read", inProject(project)));
}

/** Holds for a task that is still to be done. */
export const OPEN = "t.status IN ('pending', 'in_progress')";

/**
 * Counts a project's tasks by status, for a caller. Plan: one of the indexes that begin with the project.
 * @param sizes what this node has counted before
 */
export async function countByStatus(
  db: Queryable,
  projectId: string,
  caller: string | undefined,
  { sizes }: Pick<Totals, "sizes">,
): Promise<Record<TaskStatus, number>> {
  const rows = await db.query<{ status: TaskStatus; count: number }>({
    name: "tasks-count",
    text: "SELECT status, count(*) FROM tasks.tasks WHERE project_id = $1 AND deleted_at IS NULL GROUP BY status",
    values: [projectId],
    // Reads index entries alone: a hundred thousand take some ten milliseconds.
    ...((sizes.get(projectId) ?? Infinity) > QUICKLY_COUNTED && {
      slow: "bounded",
      ...(caller !== undefined && { by: caller }),
    }),
  });
  sizes.set(
    projectId,
    rows.reduce((sum, { count }) => sum + count, 0),
  );
  const none = Object.fromEntries(TASK_STATUSES.map((status) => [status, 0])) as Record<TaskStatus, number>;
  return { ...none, ...Object.fromEntries(rows.map(({ status, count }) => [status, count])) };
}
