import { invalidParameter, missing, Problem } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable, Statement } from "../../mixins/database.ts";
import { type Guards, projectStream } from "../../mixins/event-log.ts";
import { type Branch, type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import type { ProjectRole, ProjectStatus } from "../projects/projects.contract.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { PRIORITIES, TASK_STATUSES, type Task, type TaskFilters, type TaskStatus } from "./tasks.contract.ts";
import { may, whyNot } from "./tasks.policy.ts";
import { type DetailRow, taskView } from "./tasks.view.ts";

const COLUMNS = taskColumns.selected;

/** What a policy asks about the caller and the project, out of the same snapshot as the task. */
interface Standing {
  project_role: ProjectRole | null;
  project_status: ProjectStatus | null;
  /** Moves when somebody may do more or less in the project (mixins/event-log.ts, Guards). */
  members_version: number | null;
}

export type FoundTask = TaskRow & Standing;

const STANDING = `m.role AS project_role, p.status AS project_status, s.members_version`;
/** `$2` is the caller's id. */
const WITH_STANDING = `
  LEFT JOIN projects.summaries p ON p.id = t.project_id
  LEFT JOIN projects.memberships m ON m.project_id = t.project_id AND m.user_id = $2
  LEFT JOIN events.streams s ON s.name = 'project:' || t.project_id`;

/** What has to hold still when a write to the project commits. */
export const guardsOf = ({
  project_id,
  members_version,
}: {
  project_id: string | null;
  members_version: number | null;
}): Guards =>
  project_id === null || members_version === null ? {} : { [projectStream(project_id)]: members_version };
/** A task whose project is deleted is as gone as a deleted one. */
const PROJECT_THERE = "(t.project_id IS NULL OR p.id IS NOT NULL)";

/**
 * A task that the caller may see. Plan: primary keys of tasks, projects and members.
 * @param lock hold the task's row until the transaction ends
 * @param deleted look among the deleted ones instead
 * @throws Problem not-found for one that isn't there, whose project is deleted, or that the caller may not see
 */
export async function findTask(
  db: Queryable,
  actor: Actor,
  id: string,
  { lock = false, deleted = false } = {},
): Promise<FoundTask> {
  const [task] = await db.query<FoundTask>({
    name: `tasks-find${lock ? "-locked" : ""}${deleted ? "-deleted" : ""}`,
    text: `SELECT ${COLUMNS}, ${STANDING} FROM tasks.tasks t ${WITH_STANDING}
           WHERE t.id = $1 AND t.deleted_at IS ${deleted ? "NOT NULL" : "NULL"} AND ${PROJECT_THERE}
           ${lock ? "FOR NO KEY UPDATE OF t" : ""}`,
    values: [id, actor.id],
  });
  if (task === undefined || !may(actor, "read", task)) throw missing("task", id);
  return task;
}

/** Those of `ids` that the caller may see, locked in the order of their ids. Plan: the same. */
export async function lockTasks(tx: Queryable, actor: Actor, ids: string[]): Promise<FoundTask[]> {
  const found = await tx.query<FoundTask>({
    name: "tasks-lock",
    text: `SELECT ${COLUMNS}, ${STANDING} FROM tasks.tasks t ${WITH_STANDING}
           WHERE t.id = ANY ($1::uuid[]) AND t.deleted_at IS NULL AND ${PROJECT_THERE}
           ORDER BY t.id FOR NO KEY UPDATE OF t`,
    values: [ids, actor.id],
  });
  return found.filter((task) => may(actor, "read", task));
}

/** The same with what its ids stand for, but for people. Plan: primary keys, and comments_task_idx. */
export async function findDetail(db: Queryable, actor: Actor, id: string): Promise<DetailRow> {
  const [task] = await db.query<DetailRow & Standing>({
    name: "tasks-detail",
    text: `SELECT ${COLUMNS}, ${STANDING}, p.slug AS project_slug, p.name AS project_name,
                  c.name AS category_name, c.color AS category_color,
                  (SELECT count(*) FROM tasks.comments WHERE task_id = t.id) AS comment_count
           FROM tasks.tasks t ${WITH_STANDING} LEFT JOIN tasks.categories c ON c.id = t.category_id AND c.deleted_at IS NULL
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

const ofProject = ({ id, project_role }: Pick<ProjectStanding, "id" | "project_role">) => ({
  project_id: id,
  project_role,
  created_by: "",
  assigned_to: null,
});

/** A project by id or slug with the caller's role in it. */
const projectBy = (key: "id" | "slug", caller: string, value: string): string => `
  SELECT p.id, p.status, m.role AS project_role, s.members_version
  FROM projects.summaries p LEFT JOIN projects.memberships m ON m.project_id = p.id AND m.user_id = ${caller}
  LEFT JOIN events.streams s ON s.name = 'project:' || p.id
  WHERE p.${key} = ${value}`;

/**
 * A project by id or slug, for the tasks in it.
 * @throws Problem not-found when it isn't there or the caller may not see it
 */
export async function findProject(db: Queryable, actor: Actor, project: string): Promise<ProjectStanding> {
  const key = isId(project) ? "id" : "slug";
  const [found] = await db.query<ProjectStanding>({
    name: `tasks-project-by-${key}`,
    text: projectBy(key, "$1", "$2"),
    values: [actor.id, project],
  });
  if (found === undefined || !may(actor, "read", ofProject(found))) throw missing("project", project);
  return found;
}

/** Those projects of `ids` that the caller may see. Plan: primary keys. */
export async function findProjects(db: Queryable, actor: Actor, ids: string[]): Promise<ProjectStanding[]> {
  const found = await db.query<ProjectStanding>({
    name: "tasks-projects",
    text: `SELECT p.id, p.status, m.role AS project_role, s.members_version
           FROM projects.summaries p LEFT JOIN projects.memberships m ON m.project_id = p.id AND m.user_id = $1
           LEFT JOIN events.streams s ON s.name = 'project:' || p.id
           WHERE p.id = ANY ($2::uuid[])`,
    values: [actor.id, ids],
  });
  return found.filter((project) => may(actor, "read", ofProject(project)));
}

/** Whether the caller may do this with the tasks of a project that they may see. @throws Problem forbidden */
export function mustBeAllowedIn(actor: Actor, project: ProjectStanding, verb: "create" | "assign"): void {
  const standing = ofProject(project);
  if (!may(actor, verb, standing)) throw new Problem("forbidden", whyNot(verb, standing));
}

/** Which of these users are members of which of these projects. Plan: primary keys of members and projects. */
export async function membersOf(
  db: Queryable,
  projectIds: string[],
  userIds: string[],
): Promise<{ project_id: string; user_id: string }[]> {
  return db.query({
    name: "tasks-members-of",
    text: `SELECT project_id, user_id FROM projects.memberships
           WHERE project_id = ANY ($1::uuid[]) AND user_id = ANY ($2::uuid[])`,
    values: [projectIds, userIds],
  });
}

/** Which of these assignees share a project with which of these creators. Plan: members_user_idx and members_pkey. */
export async function sharing(
  db: Queryable,
  creators: string[],
  assignees: string[],
): Promise<{ creator: string; assignee: string }[]> {
  return db.query({
    name: "tasks-sharing",
    text: `SELECT c.id AS creator, a.id AS assignee
           FROM unnest($1::uuid[]) AS c (id) CROSS JOIN unnest($2::uuid[]) AS a (id)
           WHERE EXISTS (SELECT FROM projects.memberships theirs
                         JOIN projects.memberships ours ON ours.project_id = theirs.project_id
                         WHERE theirs.user_id = c.id AND ours.user_id = a.id)`,
    values: [creators, assignees],
  });
}

const nth = (values: readonly string[], column: string) => ({
  sql: `array_position('{${values.join(",")}}'::text[], ${column})`,
  type: "integer",
});

/** What a task list can be sorted by; `rank` is added where something is searched for. No date is later than any. */
const SORTS = {
  created_at: { sql: "t.created_at", type: "timestamptz" },
  updated_at: { sql: "t.updated_at", type: "timestamptz" },
  due_date: { sql: "coalesce(t.due_date, 'infinity')", type: "timestamptz" },
  priority: nth(PRIORITIES, "t.priority"),
  status: nth(TASK_STATUSES, "t.status"),
  title: { sql: "lower(t.title)", type: "text" },
};
/** Weights of English stems in descriptions and in titles, and of words as they are in both (migrations/0012). */
const WEIGHTS = "'{0.3, 0.8, 0.4, 1}'";
/** Titles before descriptions, and whole words before those that begin with what was asked for. */
export const rankOf = (words: string, request: string): string =>
  `ts_rank(${WEIGHTS}, t.words, ${words}) + ts_rank(${WEIGHTS}, t.words, websearch_to_tsquery('english', ${request}))`;
export const TASK_SORTS = [...Object.keys(SORTS), "rank"];

export type TaskFilter = TaskFilters & {
  /** Id or slug: that project's tasks, which the caller must be allowed to see. */
  project?: string;
  project_id?: string;
};

const OPEN = "t.status IN ('pending', 'in_progress')";

function conditionsOf(
  actor: Actor,
  filter: TaskFilter,
  words: string | null,
  parameters: Parameters,
): string[] {
  const conditions: string[] = [];
  const add = (value: unknown, condition: (place: string) => string) => {
    if (value !== undefined) conditions.push(condition(parameters.add(value)));
  };
  if (filter.include_deleted !== true) conditions.push("t.deleted_at IS NULL");
  else if (actor.role !== "admin") {
    const me = parameters.add(actor.id);
    conditions.push(`(t.deleted_at IS NULL OR t.created_by = ${me} OR t.project_id = ANY (ARRAY(
      SELECT project_id FROM projects.memberships WHERE user_id = ${me} AND role IN ('manager', 'owner'))))`);
  }
  add(actor.projects, (place) => `t.project_id = ANY (${place}::uuid[])`);
  const { assigned_to, overdue } = filter;
  if (assigned_to === "none") conditions.push("t.assigned_to IS NULL");
  else add(assigned_to === "me" ? actor.id : assigned_to, (place) => `t.assigned_to = ${place}`);
  add(filter.status, (place) => `t.status = ANY (${place}::text[])`);
  add(filter.priority, (place) => `t.priority = ANY (${place}::text[])`);
  add(filter.created_by, (place) => `t.created_by = ${place}`);
  add(filter.category_id, (place) => `t.category_id = ${place}`);
  add(filter.due_date_from, (place) => `t.due_date >= ${place}`);
  add(filter.due_date_to, (place) => `t.due_date <= ${place}`);
  add(filter.updated_since, (place) => `t.updated_at >= ${place}`);
  if (overdue !== undefined)
    conditions.push(`(coalesce(t.due_date < now(), false) AND ${OPEN}) IS ${overdue ? "TRUE" : "FALSE"}`);
  if (filter.archived !== undefined)
    conditions.push(
      `${filter.archived ? "" : "NOT "}EXISTS (SELECT FROM projects.summaries a WHERE a.id = t.project_id AND a.status = 'archived')`,
    );
  if (words !== null) conditions.push(`t.words @@ ${words}`);
  return conditions;
}

/**
 * Where the tasks lie that the caller may see. A list in the order of an index takes the first few of each project and
 * of the personal ones; a search and a person's assignments are found by an index of their own, and only then judged.
 */
function branchesOf(actor: Actor, filter: TaskFilter, where: string[], parameters: Parameters): Branch[] {
  const from = "tasks.tasks t";
  if (filter.project !== undefined)
    return [{ from, where: ["t.project_id = (SELECT id FROM project)", ...where] }];
  if (filter.project_id !== undefined && actor.role !== "user") {
    const project = parameters.add(filter.project_id);
    return [
      { from, where: [`t.project_id = (SELECT id FROM projects.summaries WHERE id = ${project})`, ...where] },
    ];
  }
  if (actor.role !== "user") {
    const there =
      "(t.project_id IS NULL OR EXISTS (SELECT FROM projects.summaries p WHERE p.id = t.project_id))";
    return [{ from, where: ["t.created_at > '-infinity'", there, ...where] }];
  }
  const me = parameters.add(actor.id);
  if (filter.project_id !== undefined) {
    const project = parameters.add(filter.project_id);
    const seen = `t.project_id = (SELECT project_id FROM projects.memberships WHERE user_id = ${me} AND project_id = ${project})`;
    return [{ from, where: [seen, ...where] }];
  }
  const somebody = filter.assigned_to !== undefined && filter.assigned_to !== "none";
  if (filter.q !== undefined || somebody) {
    const seen = `(t.project_id = ANY (ARRAY(SELECT project_id FROM projects.memberships WHERE user_id = ${me}))
      OR (t.project_id IS NULL AND (t.created_by = ${me} OR t.assigned_to = ${me})))`;
    return [{ from, where: [seen, ...where] }];
  }
  return [
    {
      each: `(SELECT project_id AS id FROM projects.memberships WHERE user_id = ${me}) member_of`,
      from,
      where: ["t.project_id = member_of.id", ...where],
    },
    { from, where: ["t.project_id IS NULL", `t.created_by = ${me}`, ...where] },
    { from, where: ["t.project_id IS NULL", `t.assigned_to = ${me}`, `t.created_by <> ${me}`, ...where] },
  ];
}

const inProject = ({ project, project_id }: TaskFilter): boolean => (project ?? project_id) !== undefined;

/** The sorts that an index answers: one project's tasks lie in three orders, all others in that of their creation. */
const orderedBy = (filter: TaskFilter): string[] =>
  inProject(filter) ? ["created_at", "updated_at", "due_date"] : ["created_at"];

/**
 * Whether an index finds what a filter asks for: the tasks of a project, there also of a status, and the caller's own
 * assignments. `include_deleted=false` is what is meant without it.
 */
function isIndexed(name: string, filter: TaskFilter): boolean {
  if (name === "project" || name === "project_id") return true;
  if (name === "status") return inProject(filter);
  if (name === "include_deleted") return filter.include_deleted === false;
  return name === "assigned_to" && filter.assigned_to === "me" && !inProject(filter);
}

/**
 * The list as one statement: the page, with a total where it is asked for by offset, and the project that it is of.
 * Plan: tasks_project_created_idx and its like for projects, tasks_personal_idx and tasks_assigned_idx for the rest,
 * tasks_words_idx for searches (test/integration/plans.test.ts).
 * @throws Problem validation-failed for a sort by rank where nothing is searched for
 */
export function taskListStatement(actor: Actor, filter: TaskFilter, page: PageOf): Statement {
  const parameters = new Parameters();
  const request = filter.q === undefined ? null : parameters.add(filter.q);
  const words = request === null ? null : `tasks.search_query(${request})`;
  if (words === null && page.sort?.includes("rank") === true)
    throw invalidParameter("sort", "sort", "Sorting by rank needs a search (q)");
  const where = conditionsOf(actor, filter, words, parameters);
  const listing: Listing = {
    columns: COLUMNS,
    branches: branchesOf(actor, filter, where, parameters),
    sorts:
      request === null || words === null
        ? SORTS
        : { ...SORTS, rank: { sql: rankOf(words, request), type: "real" } },
    sort: words === null ? "-created_at" : "-rank",
    indexed: orderedBy(filter),
    filtered:
      actor.projects !== undefined ||
      Object.entries(filter).some(([name, value]) => value !== undefined && !isIndexed(name, filter)),
    caller: actor.id,
  };
  if (filter.project === undefined) return listStatement(listing, page, parameters);
  const key = isId(filter.project) ? "id" : "slug";
  const project = projectBy(key, parameters.add(actor.id), parameters.add(filter.project));
  return listStatement(
    {
      ...listing,
      with: [`project AS (${project})`],
      about: { columns: "project.id AS of_project, project.project_role AS of_role", from: "project" },
    },
    page,
    parameters,
  );
}

/**
 * The tasks that the caller may see, newest first unless they say.
 * @throws Problem not-found when `filter.project` isn't there or the caller may not see it
 */
export async function listTasks(
  db: Queryable,
  actor: Actor,
  filter: TaskFilter,
  page: PageOf,
): Promise<Page<Task>> {
  type Row = TaskRow & { of_project?: string | null; of_role?: ProjectRole | null };
  const statement = taskListStatement(actor, filter, page);
  const found = await readPage<Row, Task>(db, statement, page, taskView);
  if (filter.project !== undefined) {
    const { of_project = null, of_role = null } = found.about ?? {};
    if (of_project === null || !may(actor, "read", ofProject({ id: of_project, project_role: of_role })))
      throw missing("project", filter.project);
  }
  return found.page;
}

/** The first of the tasks that carry a category and that anybody can see. Plan: tasks_category_idx. */
export async function findCategorized(db: Queryable, categoryId: string, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "tasks-categorized",
    slow: "bounded",
    text: `SELECT t.id FROM tasks.tasks t LEFT JOIN projects.summaries p ON p.id = t.project_id
           WHERE t.category_id = $1 AND t.deleted_at IS NULL AND ${PROJECT_THERE}
           ORDER BY t.id LIMIT $2`,
    values: [categoryId, limit],
  });
  return rows.map(({ id }) => id);
}

/**
 * Open tasks that are due until `until`, of which nobody was told yet, locked against others that look for the same.
 * Plan: tasks_due_soon_idx.
 */
export function lockDueSoon(tx: Queryable, until: string, limit: number): Promise<TaskRow[]> {
  return tx.query({
    name: "tasks-due-soon",
    text: `SELECT ${COLUMNS} FROM tasks.tasks t LEFT JOIN projects.summaries p ON p.id = t.project_id
           WHERE t.due_date BETWEEN now() AND $1 AND t.deleted_at IS NULL AND ${OPEN}
             AND t.announced_due_date IS DISTINCT FROM t.due_date AND (t.project_id IS NULL OR p.status = 'active')
           ORDER BY t.due_date, t.id LIMIT $2 FOR UPDATE OF t SKIP LOCKED`,
    values: [until, limit],
  });
}

/** The first `limit` of the tasks that are assigned to a user, but for those that are deleted or whose project is. */
export async function findAssigned(db: Queryable, userId: string, limit: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "tasks-assigned",
    slow: "bounded",
    text: `SELECT t.id FROM tasks.tasks t LEFT JOIN projects.summaries p ON p.id = t.project_id
           WHERE t.assigned_to = $1 AND t.deleted_at IS NULL AND ${PROJECT_THERE}
           ORDER BY t.id LIMIT $2`,
    values: [userId, limit],
  });
  return rows.map(({ id }) => id);
}

/** Counts a project's tasks by status, for a caller. Plan: one of the indexes that begin with the project. */
export async function countByStatus(
  db: Queryable,
  projectId: string,
  caller: string | undefined,
): Promise<Record<TaskStatus, number>> {
  const rows = await db.query<{ status: TaskStatus; count: number }>({
    name: "tasks-count",
    text: "SELECT status, count(*) FROM tasks.tasks WHERE project_id = $1 AND deleted_at IS NULL GROUP BY status",
    values: [projectId],
    // Of entries of an index alone, a hundred thousand of which take some ten milliseconds.
    slow: "bounded",
    ...(caller !== undefined && { by: caller }),
  });
  const none = Object.fromEntries(TASK_STATUSES.map((status) => [status, 0])) as Record<TaskStatus, number>;
  return { ...none, ...Object.fromEntries(rows.map(({ status, count }) => [status, count])) };
}
