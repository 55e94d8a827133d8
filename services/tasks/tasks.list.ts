/** Lists of tasks: what a caller sees, filtered, sorted and searched, in one statement. */
import { invalidParameter, missing } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import type { Page, PageOf } from "../../core/pagination.ts";
import type { Queryable, Statement } from "../../mixins/database.ts";
import { type Branch, type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import type { ProjectRole } from "../projects/projects.contract.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { PRIORITIES, TASK_STATUSES, type Task, type TaskFilters } from "./tasks.contract.ts";
import { inProject, may } from "./tasks.policy.ts";
import { OPEN, projectsWhere } from "./tasks.queries.ts";
import { taskView } from "./tasks.view.ts";

/** Sorts by a value's place in a list of values. */
const placeIn = (values: readonly string[], column: string) => ({
  sql: `array_position('{${values.join(",")}}'::text[], ${column})`,
  type: "integer",
});

/** Sort keys of a list; a search has `rank` as well. A task without a due date sorts after all others. */
const SORTS = {
  created_at: { sql: "t.created_at", type: "timestamptz" },
  updated_at: { sql: "t.updated_at", type: "timestamptz" },
  due_date: { sql: "coalesce(t.due_date, 'infinity')", type: "timestamptz" },
  priority: placeIn(PRIORITIES, "t.priority"),
  status: placeIn(TASK_STATUSES, "t.status"),
  title: { sql: "lower(t.title)", type: "text" },
  position: { sql: "t.position", type: "text" },
};

/** Weights of English stems in descriptions, stems in titles, words in descriptions, words in titles (migrations/0012). */
const WEIGHTS = "'{0.3, 0.8, 0.4, 1}'";
/** Ranks titles before descriptions, and whole words before words that only begin with what the search names. */
export const rankOf = (words: string, request: string): string =>
  `ts_rank(${WEIGHTS}, t.words, ${words}) + ts_rank(${WEIGHTS}, t.words, websearch_to_tsquery('english', ${request}))`;
export const TASK_SORTS = [...Object.keys(SORTS), "rank"];

export type TaskFilter = TaskFilters & {
  /** An id or a slug: the tasks of this project, which the caller must be allowed to see. */
  project?: string;
  /** An id, or `none` for personal tasks. */
  project_id?: string;
};

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
  // The index of a column's order is read by one status.
  if (filter.status?.length === 1) add(filter.status[0], (place) => `t.status = ${place}`);
  else add(filter.status, (place) => `t.status = ANY (${place}::text[])`);
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
 * of the personal tasks. A search and a person's assignments have indexes of their own: their tasks are judged after.
 */
function branchesOf(actor: Actor, filter: TaskFilter, where: string[], parameters: Parameters): Branch[] {
  const from = "tasks.tasks t";
  if (filter.project !== undefined)
    return [{ from, where: ["t.project_id = (SELECT id FROM project)", ...where] }];
  const isPersonal = filter.project_id === "none";
  if (filter.project_id !== undefined && !isPersonal && actor.role !== "user") {
    const project = parameters.add(filter.project_id);
    return [
      { from, where: [`t.project_id = (SELECT id FROM projects.summaries WHERE id = ${project})`, ...where] },
    ];
  }
  if (actor.role !== "user") {
    const there = isPersonal
      ? "t.project_id IS NULL"
      : "(t.project_id IS NULL OR EXISTS (SELECT FROM projects.summaries p WHERE p.id = t.project_id))";
    return [{ from, where: ["t.created_at > '-infinity'", there, ...where] }];
  }
  const me = parameters.add(actor.id);
  const personal: Branch[] = [
    { from, where: ["t.project_id IS NULL", `t.created_by = ${me}`, ...where] },
    { from, where: ["t.project_id IS NULL", `t.assigned_to = ${me}`, `t.created_by <> ${me}`, ...where] },
  ];
  if (isPersonal) return personal;
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
    ...personal,
  ];
}

const namesProject = ({ project, project_id = "none" }: TaskFilter): boolean =>
  project !== undefined || project_id !== "none";

/** The sorts that an index answers: indexes hold one project's tasks in four orders, others in that of their creation. */
const orderedBy = (filter: TaskFilter): string[] =>
  namesProject(filter) ? ["created_at", "updated_at", "due_date", "position"] : ["created_at"];

/**
 * Whether an index finds what a filter asks for: the tasks of a project, there also of a status, and the caller's own
 * assignments. `include_deleted=false` is the default.
 */
function isIndexed(name: string, filter: TaskFilter): boolean {
  if (name === "project" || name === "project_id") return true;
  if (name === "status") return namesProject(filter);
  if (name === "include_deleted") return filter.include_deleted === false;
  const isAnywhere = filter.project === undefined && filter.project_id === undefined;
  return name === "assigned_to" && filter.assigned_to === "me" && isAnywhere;
}

/**
 * The list as one statement: the page, its total when the client pages by offset, and the project that it is of.
 * Plan: tasks_project_created_idx and its like for projects, tasks_column_idx for a column in its order, tasks_personal_idx
 * and tasks_assigned_idx for the rest, tasks_words_idx for searches (test/integration/plans.test.ts).
 * @throws Problem validation-failed for a sort by rank without a search
 */
export function taskListStatement(actor: Actor, filter: TaskFilter, page: PageOf): Statement {
  const parameters = new Parameters();
  const request = filter.q === undefined ? null : parameters.add(filter.q);
  const words = request === null ? null : `tasks.search_query(${request})`;
  if (words === null && page.sort?.includes("rank") === true)
    throw invalidParameter("sort", "sort", "Sorting by rank needs a search (q)");
  const where = conditionsOf(actor, filter, words, parameters);
  const listing: Listing = {
    columns: taskColumns.selected,
    branches: branchesOf(actor, filter, where, parameters),
    sorts:
      request === null || words === null
        ? SORTS
        : { ...SORTS, rank: { sql: rankOf(words, request), type: "real" } },
    sort: words === null ? "-created_at" : "-rank",
    indexed: orderedBy(filter),
    filtered:
      actor.projects !== undefined ||
      // Personal tasks have an index by user, and none across all users.
      (actor.role !== "user" && filter.project_id === "none") ||
      Object.entries(filter).some(([name, value]) => value !== undefined && !isIndexed(name, filter)),
    caller: actor.id,
  };
  if (filter.project === undefined) return listStatement(listing, page, parameters);
  const key = isId(filter.project) ? "id" : "slug";
  const caller = parameters.add(actor.id);
  const project = projectsWhere(`p.${key} = ${parameters.add(filter.project)}`, caller);
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
 * The tasks that the caller may see, newest first by default.
 * @throws Problem not-found when there is no `filter.project` or the caller may not see it
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
    if (of_project === null || !may(actor, "read", inProject({ id: of_project, project_role: of_role })))
      throw missing("project", filter.project);
  }
  return found.page;
}
