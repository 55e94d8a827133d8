/** Lists of tasks: what a caller sees, filtered, sorted and searched, in one statement. */
import { invalidParameter, missing } from "../../core/errors.ts";
import { isId } from "../../core/ids.ts";
import type { Actor } from "../../core/kit.ts";
import { type Page, type PageOf, parseSort } from "../../core/pagination.ts";
import type { Queryable, Statement } from "../../mixins/database.ts";
import { type Branch, type Listing, listStatement, Parameters, readPage } from "../../mixins/listing.ts";
import type { ProjectRole } from "../projects/projects.contract.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { PRIORITIES, TASK_STATUSES, type Task, type TaskFilters } from "./tasks.contract.ts";
import { inProject, may } from "./tasks.policy.ts";
import { OPEN, projectsWhere } from "./tasks.queries.ts";
import { RANK, searched } from "./tasks.search.ts";
import { taskView } from "./tasks.view.ts";
import type { Total, Totals } from "./totals.ts";

/** Sorts by a value's place in a list of values. */
const placeIn = (values: readonly string[], column: string) => ({
  sql: `array_position('{${values.join(",")}}'::text[], ${column})`,
  type: "integer",
});

/** When a task is due, never null: the form that indexes have. */
const DUE = "coalesce(t.due_date, 'infinity')";

/** Sort keys of a list; a search has `rank` as well. A task without a due date sorts after all others. */
const SORTS = {
  created_at: { sql: "t.created_at", type: "timestamptz" },
  updated_at: { sql: "t.updated_at", type: "timestamptz" },
  due_date: { sql: DUE, type: "timestamptz" },
  priority: placeIn(PRIORITIES, "t.priority"),
  status: placeIn(TASK_STATUSES, "t.status"),
  title: { sql: "lower(t.title)", type: "text" },
  position: { sql: "t.position", type: "text" },
};

export const TASK_SORTS = [...Object.keys(SORTS), "rank"];

export type TaskFilter = TaskFilters & {
  /** An id or a slug: the tasks of this project, which the caller must be allowed to see. */
  project?: string;
  /** An id, or `none` for personal tasks. */
  project_id?: string;
};

function conditionsOf(actor: Actor, filter: TaskFilter, parameters: Parameters): string[] {
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
  add(filter.due_date_from, (place) => `${DUE} >= ${place} AND ${DUE} < 'infinity'`);
  add(filter.due_date_to, (place) => `${DUE} <= ${place}`);
  add(filter.updated_since, (place) => `t.updated_at >= ${place}`);
  if (overdue !== undefined)
    conditions.push(overdue ? `t.due_date < now() AND ${OPEN}` : `NOT (${DUE} < now() AND ${OPEN})`);
  if (filter.archived !== undefined)
    conditions.push(
      `${filter.archived ? "" : "NOT "}EXISTS (SELECT FROM projects.summaries a WHERE a.id = t.project_id AND a.status = 'archived')`,
    );
  return conditions;
}

/** Which tasks the caller may see: as a condition, and as the places where they lie in the order of an index. */
interface Sight {
  seen: string;
  branches: Branch[];
}

const from = "tasks.tasks t";

/** What the caller sees of one project, or of the personal tasks, or of all. */
function sightOf(actor: Actor, filter: TaskFilter, parameters: Parameters): Sight {
  const only = (seen: string): Sight => ({ seen, branches: [{ from, where: [seen] }] });
  const { project, project_id } = filter;
  if (project !== undefined) return only("t.project_id = (SELECT id FROM project)");
  const isPersonal = project_id === "none";
  if (actor.role !== "user") {
    if (isPersonal) return only("t.project_id IS NULL");
    if (project_id !== undefined)
      return only(
        `t.project_id = (SELECT id FROM projects.summaries WHERE id = ${parameters.add(project_id)})`,
      );
    const seen =
      "(t.project_id IS NULL OR EXISTS (SELECT FROM projects.summaries p WHERE p.id = t.project_id))";
    return { seen, branches: [{ from, where: ["t.created_at > '-infinity'", seen] }] };
  }
  const me = parameters.add(actor.id);
  const memberships = `SELECT project_id FROM projects.memberships WHERE user_id = ${me}`;
  if (project_id !== undefined && !isPersonal)
    return only(`t.project_id = (${memberships} AND project_id = ${parameters.add(project_id)})`);
  const own = `(t.project_id IS NULL AND (t.created_by = ${me} OR t.assigned_to = ${me}))`;
  const personal: Branch[] = [
    { from, where: ["t.project_id IS NULL", `t.created_by = ${me}`] },
    { from, where: ["t.project_id IS NULL", `t.assigned_to = ${me}`, `t.created_by <> ${me}`] },
  ];
  if (isPersonal) return { seen: own, branches: personal };
  return {
    seen: `(t.project_id = ANY (ARRAY(${memberships})) OR ${own})`,
    branches: [
      { each: `(${memberships}) member_of`, from, where: ["t.project_id = member_of.project_id"] },
      ...personal,
    ],
  };
}

const isAnywhere = ({ project, project_id }: TaskFilter): boolean =>
  project === undefined && project_id === undefined;
const namesProject = ({ project, project_id = "none" }: TaskFilter): boolean =>
  project !== undefined || project_id !== "none";
const hasAssignee = ({ assigned_to = "none" }: TaskFilter): boolean => assigned_to !== "none";

/**
 * Where the tasks lie that the list may hold. A list in the order of an index takes the first few of each project and of the
 * personal tasks. What somebody has, created or put into a category has indexes of its own: these tasks are judged after.
 */
function branchesOf(filter: TaskFilter, { seen, branches }: Sight): Branch[] {
  if (!isAnywhere(filter)) return branches;
  if (hasAssignee(filter) || filter.category_id !== undefined) return [{ from, where: [seen] }];
  if (filter.created_by === undefined) return branches;
  return ["t.project_id IS NOT NULL", "t.project_id IS NULL"].map((kind) => ({ from, where: [kind, seen] }));
}

/** The sorts that an index answers: indexes hold one project's tasks in several orders, others in that of their creation. */
function orderedBy(actor: Actor, filter: TaskFilter): string[] {
  const ofEachProject =
    actor.role === "user" &&
    isAnywhere(filter) &&
    !hasAssignee(filter) &&
    filter.category_id === undefined &&
    filter.created_by === undefined;
  return namesProject(filter) || ofEachProject
    ? ["created_at", "updated_at", "due_date", "priority", "position"]
    : ["created_at"];
}

/**
 * Whether an index finds what a filter asks for: the tasks of a project, there also of a status, and what the caller has
 * or created; a range of times in a list that is in their order. `include_deleted=false` is the default.
 * @param sort the key of the list's order
 */
function isIndexed(name: string, actor: Actor, filter: TaskFilter, sort: string): boolean {
  switch (name) {
    case "project":
    case "project_id":
      return true;
    case "status":
      return namesProject(filter);
    case "include_deleted":
      return filter.include_deleted === false;
    case "due_date_from":
    case "due_date_to":
      return sort === "due_date";
    case "updated_since":
      return sort === "updated_at";
    case "assigned_to":
      return filter.assigned_to === "me" && isAnywhere(filter);
    case "created_by":
      return filter.created_by === actor.id && isAnywhere(filter) && !hasAssignee(filter);
    default:
      return false;
  }
}

/** Filters of a project's tasks that no index answers better for one value than for another. */
const ALIKE: readonly (keyof TaskFilter)[] = ["project", "project_id", "status", "priority", "overdue", "q"];

/** Whether how to read a list depends on the values of its filters: half of all tasks, or three. */
const isByValues = (filter: TaskFilter): boolean =>
  !namesProject(filter) ||
  Object.entries(filter).some(
    ([name, value]) => value !== undefined && !ALIKE.includes(name as keyof TaskFilter),
  );

/**
 * The list as one statement: the page, its total when the client pages by offset, and the project that it is of.
 * Plan: tasks_project_created_idx and its like for projects, tasks_column_idx for a column in its order, tasks_personal_idx,
 * tasks_personal_assigned_idx, tasks_assigned_idx, tasks_creator_idx and tasks_category_idx for the rest, tasks_words_idx for
 * searches (test/integration/plans.test.ts).
 * @param known a total of this list in its project, which holds if the project's stream has not moved since
 * @throws Problem validation-failed for a sort by rank without a search
 */
export function taskListStatement(actor: Actor, filter: TaskFilter, page: PageOf, known?: Total): Statement {
  const parameters = new Parameters();
  const request = filter.q === undefined ? null : parameters.add(filter.q);
  if (request === null && page.sort?.includes("rank") === true)
    throw invalidParameter("sort", "sort", "Sorting by rank needs a search (q)");
  const conditions = conditionsOf(actor, filter, parameters);
  const sight = sightOf(actor, filter, parameters);
  const order = page.sort ?? (request === null ? "-created_at" : "-rank");
  const sorts: Listing["sorts"] = request === null ? SORTS : { ...SORTS, rank: RANK };
  const keys = parseSort(order).map(({ key }) => key);
  const branches = branchesOf(filter, sight).map((branch) => ({
    ...branch,
    where: [...branch.where, ...conditions],
  }));
  const isOneIndex = branches.length === 1 && branches[0]?.each === undefined;
  const listing: Listing = {
    columns: taskColumns.selected,
    branches,
    ...(!isOneIndex && { rows: from }),
    ...(request !== null &&
      searched(request, {
        judged: [sight.seen, ...conditions],
        branches,
        sorts: keys.map((key) => sorts[key]?.sql ?? ""),
      })),
    sorts,
    sort: order,
    indexed: orderedBy(actor, filter),
    filtered:
      actor.projects !== undefined ||
      // Personal tasks have an index by user, and none across all users.
      (actor.role !== "user" && filter.project_id === "none") ||
      Object.entries(filter).some(
        ([name, value]) => value !== undefined && !isIndexed(name, actor, filter, keys[0] as string),
      ),
    // The index of the columns finds a status that few tasks have.
    choice: filter.status !== undefined && keys[0] !== "position",
    ...(!isByValues(filter) && { byValues: false }),
    // A category is one user's.
    small: isAnywhere(filter) && filter.category_id !== undefined && request === null,
    caller: actor.id,
  };
  if (filter.project === undefined) return listStatement(listing, page, parameters);
  const key = isId(filter.project) ? "id" : "slug";
  const caller = parameters.add(actor.id);
  const project = projectsWhere(
    `p.${key} = ${parameters.add(filter.project)}`,
    caller,
    ", s.head, s.last_id",
  );
  const { total = null, head = null, last_id = null } = known ?? {};
  return listStatement(
    {
      ...listing,
      with: [`project AS (${project})`, ...(listing.with ?? [])],
      about: {
        columns: {
          of_project: "project.id",
          of_role: "project.project_role",
          of_head: "project.head",
          of_last: "project.last_id",
        },
        from: "project",
      },
      ...(page.cursor === undefined && {
        known: {
          total,
          sql: `(SELECT ${parameters.add(total)}::bigint FROM project
            WHERE head = ${parameters.add(head)}::bigint AND last_id = ${parameters.add(last_id)}::uuid)`,
        },
      }),
    },
    page,
    parameters,
  );
}

/** What the first row says of the project that a list is of. */
interface OfProject {
  of_project?: string | null;
  of_role?: ProjectRole | null;
  of_head?: number | null;
  of_last?: string | null;
}

/**
 * The tasks that the caller may see, newest first by default.
 * @param totals what the node has counted before
 * @throws Problem not-found when there is no `filter.project` or the caller may not see it
 */
export async function listTasks(
  db: Queryable,
  actor: Actor,
  filter: TaskFilter,
  page: PageOf,
  totals?: Totals,
): Promise<Page<Task>> {
  const statement = taskListStatement(actor, filter, page, totals?.find(actor, filter));
  const found = await readPage<TaskRow & OfProject, Task>(db, statement, page, taskView);
  if (filter.project === undefined) return found.page;
  const { of_project = null, of_role = null, of_head = null, of_last = null } = found.about ?? {};
  if (of_project === null || !may(actor, "read", inProject({ id: of_project, project_role: of_role })))
    throw missing("project", filter.project);
  const { total = null } = found.about ?? {};
  if (total !== null && of_head !== null && of_last !== null)
    totals?.keep(actor, filter, { total, head: of_head, last_id: of_last });
  return found.page;
}
