import { type CachedAnswer, isFirstPage, isOff, type Params, type Part } from "../../core/cached-answer.ts";
import type { JsonText } from "../../core/json-text.ts";
import { isId } from "../../core/ids.ts";
import { type Change, declareEvents, event } from "../../core/events.ts";
import { remote, type ServiceContract } from "../../core/kit.ts";
import type { Page, PageParams } from "../../core/pagination.ts";
import type { ProblemDocument } from "../../core/errors.ts";
import type { Person } from "../users/users.contract.ts";

export const TASK_STATUSES = ["pending", "in_progress", "completed", "cancelled", "archived"] as const;
export type TaskStatus = (typeof TASK_STATUSES)[number];

export const PRIORITIES = ["low", "medium", "high", "urgent"] as const;
export type Priority = (typeof PRIORITIES)[number];

/** A task as lists and events show it (docs/reference.md, Tasks). */
export interface Task {
  id: string;
  title: string;
  description: string | null;
  status: TaskStatus;
  priority: Priority;
  project_id: string | null;
  category_id: string | null;
  created_by: string;
  assigned_to: string | null;
  due_date: string | null;
  completed_at: string | null;
  /** The task's place in the order of its project, or of its creator's personal tasks: compared by its bytes. */
  position: string;
  version: number;
  created_at: string;
  updated_at: string;
  /** Only in a deleted task. */
  deleted_at?: string;
}

/** One task, with the project, the people and the category that its ids name. */
export interface TaskDetail extends Task {
  project: { id: string; slug: string; name: string } | null;
  creator: Person;
  assignee: Person | null;
  category: Pick<Category, "id" | "name" | "color"> | null;
  comment_count: number;
}

/** The fields that a client may set. */
export interface TaskInput {
  title: string;
  description?: string | null;
  status?: TaskStatus;
  priority?: Priority;
  category_id?: string | null;
  assigned_to?: string | null;
  due_date?: string | null;
}

/** Where a task is moved to: next to another one, or without it to the end of the column. */
export interface Move {
  /** The column; the task's own by default. */
  status?: TaskStatus;
  /** The id of the task that it goes before. Not both. */
  before?: string;
  /** The id of the task that it goes after. */
  after?: string;
}

/** The filters of a list. */
export interface TaskFilters {
  status?: TaskStatus[];
  priority?: Priority[];
  /** An id, `me` or `none`. */
  assigned_to?: string;
  created_by?: string;
  category_id?: string;
  due_date_from?: string;
  due_date_to?: string;
  overdue?: boolean;
  updated_since?: string;
  q?: string;
  include_deleted?: boolean;
  /** Whether the project is archived; personal tasks lie in none. */
  archived?: boolean;
}

export interface Comment {
  id: string;
  task_id: string;
  author_id: string;
  body: string;
  version: number;
  created_at: string;
  updated_at: string;
}

/** A user's own label for tasks. */
export interface Category {
  id: string;
  name: string;
  /** `#RRGGBB`, in upper case. */
  color: string;
  version: number;
  created_at: string;
  updated_at: string;
}

/** One step of a bulk request. */
export type BulkOperation =
  | ({ op: "create"; project_id?: string | null } & TaskInput)
  | ({ op: "update"; id: string } & Partial<TaskInput>)
  | { op: "transition"; id: string; to: TaskStatus }
  | { op: "assign"; id: string; assigned_to: string | null }
  | { op: "delete"; id: string };

/** The outcome of one step: the task as the step left it, or the problem. */
export interface BulkResult {
  op: BulkOperation["op"];
  /** The status that the request on its own would have got. */
  status: number;
  task?: Task;
  problem?: ProblemDocument;
}

/** A part of a snapshot: some of its lines. */
export interface SnapshotPart {
  /** Whole lines of JSON. */
  text: string;
  /** The snapshot that has the next part; null for the last part. */
  id: string | null;
  /** The node that holds it. */
  node: string;
}

type InProject<Params = object> = Params & { project: string };
type OnTask<Params = object> = Params & { id: string };

export interface TasksContract extends ServiceContract {
  name: "tasks";
  actions: {
    /** The text of a `Page<Task>`. */
    list: { params: PageParams & TaskFilters & { project_id?: string }; result: JsonText };
    /** `project`: an id or a slug. */
    list_in_project: { params: InProject<PageParams & TaskFilters>; result: JsonText };
    create: { params: TaskInput & { project_id?: string | null }; result: Task };
    create_in_project: { params: InProject<TaskInput>; result: Task };
    /** The text of a `TaskDetail`. */
    get: { params: OnTask; result: JsonText };
    /** Sets all fields that a client may set; a field that is left out goes back to its default. */
    replace: { params: OnTask<TaskInput>; result: Task };
    patch: { params: OnTask<Partial<TaskInput>>; result: Task };
    delete: { params: OnTask; result: void };
    restore: { params: OnTask; result: Task };
    assign: { params: OnTask<{ assigned_to: string | null }>; result: Task };
    transition: { params: OnTask<{ to: TaskStatus }>; result: Task };
    move: { params: OnTask<Move>; result: Task };
    redact: { params: OnTask; result: Task };
    bulk: { params: { operations: BulkOperation[] }; result: { results: BulkResult[] } };

    /** The first part of the project's snapshot, which this node holds from now on. `project`: an id or a slug. */
    snapshot: { params: InProject<object>; result: SnapshotPart };
    /** The next part. The node that holds the snapshot answers. */
    read_snapshot: { params: { id: string }; result: SnapshotPart };
    /** Ends a snapshot before its last part was read. */
    end_snapshot: { params: { id: string }; result: void };

    list_comments: { params: OnTask<PageParams>; result: Page<Comment> };
    create_comment: { params: OnTask<{ body: string }>; result: Comment };
    get_comment: { params: OnTask<{ comment_id: string }>; result: Comment };
    patch_comment: { params: OnTask<{ comment_id: string; body: string }>; result: Comment };
    delete_comment: { params: OnTask<{ comment_id: string }>; result: void };
    redact_comment: { params: OnTask<{ comment_id: string }>; result: Comment };

    list_categories: { params: PageParams; result: Page<Category> };
    create_category: { params: { name: string; color: string }; result: Category };
    get_category: { params: { id: string }; result: Category };
    patch_category: { params: { id: string; name?: string; color?: string }; result: Category };
    delete_category: { params: { id: string }; result: void };

    /** Takes deleted categories off a batch of the tasks that still have them. True: call again, there may be more. */
    forget_categories: { params: object; result: boolean };

    /** Counts the tasks of a project, which the caller may read, by status. */
    count_by_status: { params: { project_id: string }; result: Record<TaskStatus, number> };
    /** Unassigns a batch of the tasks of a user who leaves, wherever they lie. True: call again, there may be more. */
    unassign_user: { params: { user_id: string; by: string }; result: boolean };
    /** Announces a batch of tasks that are due soon. True: call again, there may be more. */
    announce_due: { params: object; result: boolean };
    /** Shortens the positions of a batch of tasks. True: call again, there may be more. */
    spread_positions: { params: object; result: boolean };
    /** Removes a batch of the tasks that were deleted before `before`, or that lie in `project_id`. True: call again, there may be more. */
    purge: { params: { before?: string; project_id?: string }; result: boolean };
  };
}

export const tasks = remote<TasksContract>("tasks");

/** A task as events show it: the log keeps no title of a task that was redacted. */
export type EventTask = Omit<Task, "title"> & { title: string | null };
/** A comment as events show it: the log keeps no text of a comment that was redacted. */
export type EventComment = Omit<Comment, "body"> & { body: string | null };

/** The changes of a task that events tell: of fields that a client may set, of those that follow from them, and of its place. */
export type TaskChanges = { [Field in keyof TaskInput | "completed_at" | "position"]?: Change<Task[Field]> };

/**
 * The answers that show tasks of a project as lists and numbers. Those that show tasks in the order of their creation have the
 * task in another place, or no more, after an event without `changes`; the numbers change then, too.
 */
function ofProject({ task: { project_id }, changes }: { task: EventTask; changes?: TaskChanges }): string[] {
  if (project_id === null) return [];
  return [
    `tasks-of:${project_id}`,
    ...(changes === undefined ? [`order-of:${project_id}`] : []),
    ...(changes === undefined || changes.status !== undefined ? [`counts-of:${project_id}`] : []),
  ];
}
/**
 * The answers that show a task: its own fields, and in its detail what the fields lead to. A creation marks the task as well:
 * the next page that shows it is kept then.
 */
function ofTask(data: { task: EventTask; changes?: TaskChanges }): string[] {
  const { task, changes } = data;
  const isLedElsewhere = ["assigned_to", "category_id"].some((field) => Object.hasOwn(changes ?? {}, field));
  return [
    `task:${task.id}`,
    ...(changes === undefined || isLedElsewhere ? [`detail-of:${task.id}`] : []),
    ...ofProject(data),
  ];
}
/** A detail has the number of comments. */
const countsComments = ({ comment }: { comment: EventComment }): string[] => [`detail-of:${comment.task_id}`];

export const taskEvents = declareEvents({
  task_created: event<{ task: EventTask }>("A task was created.", ofTask),
  task_updated: event<{ task: EventTask; changes: TaskChanges }>(
    "Fields of a task changed, except those that task_completed and task_assigned tell.",
    ofTask,
  ),
  task_moved: event<{ task: EventTask; changes: TaskChanges }>(
    "A task was moved on its board, to another place, to another column, or both; what task_completed tells is left out.",
    ofTask,
  ),
  task_assigned: event<{ task: EventTask; changes: TaskChanges }>(
    "A task has another assignee, or none. The new assignee gets the event on their own stream, too, and so does the former assignee of a personal task.",
    ofTask,
  ),
  task_completed: event<{ task: EventTask; changes: TaskChanges }>("A task was completed.", ofTask),
  task_deleted: event<{ task: EventTask }>("A task was deleted; it can be restored for a while.", ofTask),
  task_restored: event<{ task: EventTask }>("A deleted task was restored.", ofTask),
  task_redacted: event<{ task: EventTask }>(
    "The texts of a task were taken out of it and out of the log.",
    ofTask,
  ),
  task_due_soon: event<{ task: EventTask }>(
    "An open task is due soon. Sent once for each due date.",
    () => [],
  ),
});

/** The fields of a task, as lists and its detail show them. */
export const partOf = (task: Task): Part => ({
  name: `task:${task.id}`,
  text: JSON.stringify(task).slice(1, -1),
});

/** A detail shows names of its project, of people and of its category. Who sees a project sees all of its tasks. */
export const cachedTask: CachedAnswer<TaskDetail> = {
  names({ id }) {
    if (typeof id !== "string" || !isId(id)) return null;
    return [`task:${id.toLowerCase()}`, `detail-of:${id.toLowerCase()}`];
  },
  isShared: () => true,
  parts({ project: _project, creator: _creator, assignee: _assignee, category: _category, ...rest }) {
    const { comment_count: _count, ...task } = rest;
    return [partOf(task)];
  },
  about: ({ id, project_id, created_by, assigned_to, category_id }) => ({
    names: [
      `person:${created_by}`,
      ...(assigned_to === null ? [] : [`person:${assigned_to}`]),
      ...(category_id === null ? [] : [`category:${category_id}`]),
      ...(project_id === null ? [] : [`project:${project_id}`]),
    ],
    realm: project_id === null ? `detail-of:${id}` : `project:${project_id}`,
  }),
};

/** Tasks that a page has as its parts. A longer one is outdated by all that happens in its project. */
const PARTS = 25;

/** The params of the page that boards ask for: all tasks of a project, in the order of their creation. */
const isWhole = ({
  project: _project,
  project_id: _id,
  limit: _limit,
  cursor: _cursor,
  offset: _offset,
  sort,
  ...filters
}: Params) =>
  (sort === undefined || sort === "-created_at") &&
  // Validation leaves filters that were not given as undefined.
  Object.values(filters).every((filter) => filter === undefined);

/**
 * The first page of a project or of one of its columns. A task becomes overdue without a write, a deleted one is purged
 * without an event, and a slug may come to name another project. `GET /tasks` has an empty page for a stranger, so it is
 * not shared.
 */
export const cachedTaskList: CachedAnswer<Page<Task>> = {
  names(params) {
    const project = params.project ?? params.project_id;
    if (typeof project !== "string" || !isId(project) || !isFirstPage(params)) return null;
    if (params.overdue !== undefined || !isOff(params.include_deleted)) return null;
    const id = project.toLowerCase();
    return [isWhole(params) ? `order-of:${id}` : `tasks-of:${id}`, `project:${id}`];
  },
  isShared: ({ project, assigned_to }) => project !== undefined && assigned_to !== "me",
  parts: ({ items }, params) => (isWhole(params) && items.length <= PARTS ? items.map(partOf) : []),
  about({ items }, params) {
    const id = String(params.project ?? params.project_id).toLowerCase();
    const isInParts = isWhole(params) && items.length <= PARTS;
    return { names: isInParts ? [] : [`tasks-of:${id}`], realm: `project:${id}` };
  },
};

export const commentEvents = declareEvents({
  comment_created: event<{ comment: EventComment }>("A task has a new comment.", countsComments),
  comment_updated: event<{ comment: EventComment; changes: { body: Change<string> } }>(
    "The author edited a comment.",
    () => [],
  ),
  comment_deleted: event<{ comment: EventComment }>("A comment was deleted.", countsComments),
  comment_redacted: event<{ comment: EventComment }>(
    "The text of a comment was taken out of it and out of the log.",
    () => [],
  ),
});
