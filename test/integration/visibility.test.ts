/**
 * Lists against a plain model: random worlds of users, projects, memberships and tasks, and random requests into them. What
 * a list gives, in which order and with which total, is what a filter and a sort over arrays give. A failure prints its
 * seed and path: `fc.assert(…, { seed, path })` repeats it.
 */
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import fc from "fast-check";
import pg from "pg";
import { problemCode } from "../../core/errors.ts";
import type { Actor, Role } from "../../core/kit.ts";
import { type Page, type PageOf, parseSort } from "../../core/pagination.ts";
import { type Database, openDatabase } from "../../mixins/database.ts";
import type { ProjectRole, ProjectStatus } from "../../services/projects/projects.contract.ts";
import { listProjects, type ProjectFilter } from "../../services/projects/projects.list.ts";
import {
  PRIORITIES,
  type Priority,
  TASK_STATUSES,
  type TaskStatus,
} from "../../services/tasks/tasks.contract.ts";
import { listTasks, type TaskFilter } from "../../services/tasks/tasks.list.ts";
import { asked, RANK } from "../../services/tasks/tasks.search.ts";
import { countByStatus, findDetail, findTask } from "../../services/tasks/tasks.queries.ts";
import { Totals } from "../../services/tasks/totals.ts";
import { freshDatabase } from "../support/database.ts";
import { testConfig } from "../support/node.ts";

interface User {
  id: string;
  role: Role;
}
interface Project {
  id: string;
  slug: string;
  name: string;
  status: ProjectStatus;
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
  /** By user id. */
  roles: Map<string, ProjectRole>;
}
interface Task {
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
  created_at: string;
  updated_at: string;
  deleted_at: string | null;
}
interface World {
  users: User[];
  projects: Project[];
  tasks: Task[];
}

/** Few values, so that rows are equal in what they are sorted by. */
const TIMES = [1, 2, 3, 4].map((day) => `2026-01-0${day}T12:00:00.000Z`);
const DUE = ["2001-01-01T00:00:00.000Z", "2001-01-02T00:00:00.000Z", "9001-01-01T00:00:00.000Z"];
/** Which English stems as they are. */
const WORDS = ["alpha", "beta", "gamma", "Alpha"];

const one = <Value>(values: readonly Value[]) => fc.constantFrom(...values);
const nth = <Value>(values: readonly Value[], n: number): Value => values[n % values.length] as Value;
const maybe = <Value>(value: fc.Arbitrary<Value>) => fc.option(value, { nil: null });
const index = fc.nat(1000);
const words = fc.array(one(WORDS), { minLength: 1, maxLength: 3 }).map((some) => some.join(" "));
const times = fc.record({ created_at: one(TIMES), updated_at: one(TIMES) });
const deletion = fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: one(TIMES) });

const seeds = fc.record({
  users: fc.array(
    fc.record({ id: fc.uuid(), role: one<Role>(["user", "user", "user", "user", "manager", "admin"]) }),
    { minLength: 2, maxLength: 5 },
  ),
  projects: fc.array(
    fc.record({
      id: fc.uuid(),
      name: words,
      status: one<ProjectStatus>(["active", "active", "archived"]),
      times,
      deleted_at: deletion,
      roles: fc.array(maybe(one<ProjectRole>(["viewer", "member", "manager", "owner"])), {
        minLength: 5,
        maxLength: 5,
      }),
    }),
    { maxLength: 4 },
  ),
  categories: fc.array(fc.uuid(), { minLength: 1, maxLength: 2 }),
  tasks: fc.array(
    fc.record({
      id: fc.uuid(),
      title: words,
      description: maybe(words),
      status: one(TASK_STATUSES),
      priority: one(PRIORITIES),
      project: maybe(index),
      category: maybe(index),
      created_by: index,
      assigned_to: maybe(index),
      due_date: maybe(one(DUE)),
      times,
      deleted_at: deletion,
    }),
    { minLength: 5, maxLength: 40 },
  ),
});
type Seeds = typeof seeds extends fc.Arbitrary<infer Value> ? Value : never;

function worldOf({ users, projects, categories, tasks }: Seeds): World {
  return {
    users,
    projects: projects.map(({ times, roles, ...project }, at) => ({
      ...project,
      ...times,
      slug: `project-${at}`,
      roles: new Map(users.flatMap(({ id }, n) => (roles[n] == null ? [] : [[id, roles[n]] as const]))),
    })),
    tasks: tasks.map(({ project, category, times, created_by, assigned_to, ...task }) => ({
      ...task,
      ...times,
      project_id: project === null || projects.length === 0 ? null : nth(projects, project).id,
      category_id: category === null ? null : nth(categories, category),
      created_by: nth(users, created_by).id,
      assigned_to: assigned_to === null ? null : nth(users, assigned_to).id,
    })),
  };
}

const sorting = (keys: readonly string[]) =>
  fc.option(
    fc
      .uniqueArray(fc.tuple(one(keys), fc.boolean()), {
        selector: ([key]) => key,
        minLength: 1,
        maxLength: 3,
      })
      .map((terms) => terms.map(([key, descending]) => `${descending ? "-" : ""}${key}`).join(",")),
    { nil: undefined },
  );
const optional = <Value>(value: fc.Arbitrary<Value>) =>
  fc.oneof({ weight: 5, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: value });

const SORTS = ["created_at", "updated_at", "due_date", "priority", "status", "title"];
/** What can be searched for, and which words, in order, a task must have for it. */
const SEARCHES: Record<string, (words: string[], texts: string[][]) => boolean> = {
  alpha: (all) => all.includes("alpha"),
  Beta: (all) => all.includes("beta"),
  "alpha gamma": (all) => all.includes("alpha") && all.includes("gamma"),
  "alpha or gamma": (all) => all.includes("alpha") || all.includes("gamma"),
  "beta -gamma": (all) => all.includes("beta") && !all.includes("gamma"),
  "-alpha": (all) => !all.includes("alpha"),
  // A title's end and a description's beginning are no phrase.
  '"alpha beta"': (_all, texts) =>
    texts.some((text) => text.some((word, n) => word === "alpha" && text[n + 1] === "beta")),
  omega: () => false,
};

const taskRequest = fc.record({
  who: index,
  within: optional(fc.tuple(index, fc.boolean())),
  status: optional(fc.uniqueArray(one(TASK_STATUSES), { minLength: 1 })),
  priority: optional(fc.uniqueArray(one(PRIORITIES), { minLength: 1 })),
  assigned_to: optional(fc.oneof(one(["me", "none"]), index)),
  created_by: optional(index),
  project_id: optional(index),
  category_id: optional(index),
  due_date_from: optional(one(DUE)),
  due_date_to: optional(one(DUE)),
  overdue: optional(fc.boolean()),
  updated_since: optional(one(TIMES)),
  q: optional(one(Object.keys(SEARCHES))),
  include_deleted: optional(fc.boolean()),
  sort: sorting(SORTS),
  byRank: fc.boolean(),
  limit: one([1, 2, 3, 7, 20, 100]),
  byCursor: fc.boolean(),
  read: index,
});
const projectRequest = fc.record({
  who: index,
  status: optional(one([["active"], ["archived"], ["active", "archived"]] as ProjectStatus[][])),
  q: optional(one(["alpha", "a b", "%", "PROJECT-1"])),
  include_deleted: optional(fc.boolean()),
  sort: sorting(["created_at", "updated_at", "name"]),
  limit: one([1, 2, 20]),
  byCursor: fc.boolean(),
});

let url: string;
let client: pg.Client;
let db: Database;
let requests = 0;

beforeAll(async () => {
  url = await freshDatabase();
  client = new pg.Client({ connectionString: url });
  await client.connect();
  db = openDatabase(testConfig(url), (error) => {
    throw error;
  });
});
afterAll(async () => {
  await db?.close();
  await client?.end();
});

async function fill({ users, projects, tasks }: World): Promise<void> {
  await client.query("DELETE FROM tasks.tasks");
  await client.query("DELETE FROM tasks.categories");
  await client.query("DELETE FROM projects.projects");
  await client.query("DELETE FROM users.users");
  const owner = users[0]!.id;
  const insert = (text: string, rows: object[]) => client.query(text, [JSON.stringify(rows)]);
  await insert(
    `INSERT INTO users.users (id, email, username, password_hash, role, created_at, updated_at, email_key, username_key)
     SELECT id, id, id, '', role, now(), now(), id, id FROM json_populate_recordset(NULL::users.users, $1)`,
    users,
  );
  await insert(
    `INSERT INTO projects.projects (id, slug, name, status, owner_id, created_at, updated_at, deleted_at)
     SELECT id, slug, name, status, owner_id, created_at, updated_at, deleted_at
     FROM json_populate_recordset(NULL::projects.projects, $1)`,
    projects.map((project) => ({ ...project, owner_id: owner })),
  );
  await insert(
    "INSERT INTO projects.members SELECT * FROM json_populate_recordset(NULL::projects.members, $1)",
    projects.flatMap(({ id, roles, created_at }) =>
      [...roles].map(([user_id, role]) => ({ project_id: id, user_id, role, created_at })),
    ),
  );
  await insert(
    `INSERT INTO tasks.categories (id, user_id, name, color, created_at, updated_at, name_key)
     SELECT id, user_id, id, '#000000', now(), now(), id FROM json_populate_recordset(NULL::tasks.categories, $1)`,
    [...new Set(tasks.map(({ category_id }) => category_id).filter((id) => id !== null))].map((id) => ({
      id,
      user_id: owner,
    })),
  );
  await insert(
    `INSERT INTO tasks.tasks (id, title, description, status, priority, project_id, category_id, created_by, assigned_to,
                              due_date, created_at, updated_at, deleted_at)
     SELECT id, title, description, status, priority, project_id, category_id, created_by, assigned_to, due_date,
            created_at, updated_at, deleted_at
     FROM json_populate_recordset(NULL::tasks.tasks, $1)`,
    tasks,
  );
}

const MANAGES: readonly (ProjectRole | undefined)[] = ["manager", "owner"];

/** Who sees a task that is not deleted (docs/reference.md, Roles and permissions). */
function sees({ projects }: World, { id, role }: User, task: Task): boolean {
  const project = projects.find((one) => one.id === task.project_id);
  if (project !== undefined && project.deleted_at !== null) return false;
  if (role !== "user") return true;
  return project === undefined ? task.created_by === id || task.assigned_to === id : project.roles.has(id);
}

/** Who may have a deleted one listed: one's own, or managed. */
function seesDeleted({ projects }: World, { id, role }: User, task: Task): boolean {
  const project = projects.find((one) => one.id === task.project_id);
  return role === "admin" || task.created_by === id || MANAGES.includes(project?.roles.get(id));
}

function matches(task: Task, filter: TaskFilter, me: string): boolean {
  const { status, priority, assigned_to, created_by, project_id, category_id, q } = filter;
  const { due_date_from, due_date_to, overdue, updated_since } = filter;
  const { due_date } = task;
  const late =
    due_date !== null &&
    due_date < new Date().toISOString() &&
    ["pending", "in_progress"].includes(task.status);
  const assignee = assigned_to === "me" ? me : assigned_to === "none" ? null : assigned_to;
  const texts = [task.title, task.description ?? ""].map((text) => text.toLowerCase().split(" "));
  return (
    (status === undefined || status.includes(task.status)) &&
    (priority === undefined || priority.includes(task.priority)) &&
    (assignee === undefined || task.assigned_to === assignee) &&
    (created_by === undefined || task.created_by === created_by) &&
    (project_id === undefined || task.project_id === project_id) &&
    (category_id === undefined || task.category_id === category_id) &&
    (due_date_from === undefined || (due_date !== null && due_date >= due_date_from)) &&
    (due_date_to === undefined || (due_date !== null && due_date <= due_date_to)) &&
    (overdue === undefined || late === overdue) &&
    (updated_since === undefined || task.updated_at >= updated_since) &&
    (q === undefined || SEARCHES[q]!(texts.flat(), texts))
  );
}

type Key = (row: any) => string | number;
const KEYS: Record<string, Key> = {
  created_at: ({ created_at }) => created_at,
  updated_at: ({ updated_at }) => updated_at,
  due_date: ({ due_date }) => due_date ?? "infinity",
  priority: ({ priority }) => PRIORITIES.indexOf(priority),
  status: ({ status }) => TASK_STATUSES.indexOf(status),
  title: ({ title }) => title.toLowerCase(),
  name: ({ name }) => name.toLowerCase(),
};

/** In the order of the keys; what is equal in all, by id in the direction of the last. */
function inOrder<Row extends { id: string }>(rows: Row[], sort: string, keys: Record<string, Key>): string[] {
  const terms = parseSort(sort);
  const last = { key: "id", descending: terms.at(-1)!.descending };
  const by: Record<string, Key> = { ...keys, id: ({ id }) => id };
  const compare = (a: Row, b: Row): number => {
    for (const { key, descending } of [...terms, last]) {
      const [left, right] = [by[key]!(a), by[key]!(b)];
      if (left !== right) return left < right === descending ? 1 : -1;
    }
    return 0;
  };
  return rows.toSorted(compare).map(({ id }) => id);
}

/** A list to its end, by cursor or by offset. */
async function walk<Item extends { id: string }>(
  list: (page: PageOf) => Promise<Page<Item>>,
  { limit, sort, byCursor }: { limit: number; sort: string | undefined; byCursor: boolean },
): Promise<{ items: Item[]; totals: (number | undefined)[] }> {
  const items: Item[] = [];
  const totals = new Set<number | undefined>();
  for (let cursor: string | null = ""; cursor !== null;) {
    requests += 1;
    const place = byCursor ? { cursor } : { offset: items.length };
    const page: Page<Item> = await list({ limit, ...(sort !== undefined && { sort }), ...place });
    totals.add(page.total);
    expect(page.items.length).toBeLessThanOrEqual(limit);
    items.push(...page.items);
    cursor = page.next_cursor;
  }
  return { items, totals: [...totals] };
}

const actorOf = ({ id, role }: User): Actor => ({ id, role, session: id });
const omitUndefined = <Fields extends object>(fields: Fields) =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined));

type TaskRequest = typeof taskRequest extends fc.Arbitrary<infer Value> ? Value : never;

async function checkTasks(world: World, request: TaskRequest): Promise<void> {
  const { users, projects, tasks } = world;
  const user = nth(users, request.who);
  const actor = actorOf(user);
  const { within, q, status, priority, overdue, updated_since, include_deleted, limit, byCursor } = request;
  const person = (n: number | undefined) => (n === undefined ? undefined : nth(users, n).id);
  const project = within === undefined || projects.length === 0 ? undefined : nth(projects, within[0]);
  const filter: TaskFilter = omitUndefined({
    project: within?.[1] === true ? project?.id : project?.slug,
    status,
    priority,
    assigned_to: typeof request.assigned_to === "number" ? person(request.assigned_to) : request.assigned_to,
    created_by: person(request.created_by),
    project_id:
      request.project_id === undefined || projects.length === 0
        ? undefined
        : nth(projects, request.project_id).id,
    category_id: request.category_id === undefined ? undefined : nth(tasks, request.category_id).category_id,
    due_date_from: request.due_date_from,
    due_date_to: request.due_date_to,
    overdue,
    updated_since,
    q,
    include_deleted,
  });
  if (filter.category_id === null) delete filter.category_id;
  if (filter.project !== undefined) delete filter.project_id;
  const sort =
    q !== undefined && request.byRank ? ["-rank", request.sort].filter(Boolean).join(",") : request.sort;

  const list = (page: PageOf) => listTasks(db, actor, filter, page);
  if (project !== undefined) {
    const isThere = project.deleted_at === null && (user.role !== "user" || project.roles.has(user.id));
    if (!isThere) {
      const error = await list({ limit }).catch((thrown: unknown) => thrown);
      expect(problemCode(error)).toBe("not-found");
      return;
    }
  }
  const expected = tasks.filter(
    (task) =>
      sees(world, user, task) &&
      (project === undefined || task.project_id === project.id) &&
      (task.deleted_at === null || (include_deleted === true && seesDeleted(world, user, task))) &&
      matches(task, filter, user.id),
  );
  // How well a text matches is Postgres's to say; what comes before what, and where equals go, is not.
  const ranked = await client.query<{ id: string; rank: number }>(
    `WITH ${asked("$1")} SELECT t.id, ${RANK.sql} AS rank FROM tasks.tasks t`,
    [q ?? ""],
  );
  const ranks = new Map(ranked.rows.map(({ id, rank }) => [id, rank]));
  const keys = { ...KEYS, rank: ({ id }: Task) => ranks.get(id) ?? 0 };
  const order = inOrder(expected, sort ?? (q === undefined ? "-created_at" : "-rank"), keys);

  const { items, totals } = await walk(list, { limit, sort, byCursor });
  expect(items.map(({ id }) => id)).toEqual(order);
  expect(totals).toEqual([byCursor ? undefined : order.length]);
  for (const item of items) {
    const { deleted_at, ...task } = tasks.find(({ id }) => id === item.id)!;
    expect(item).toMatchObject({ ...task, ...(deleted_at !== null && { deleted_at }) });
    expect("deleted_at" in item).toBe(deleted_at !== null);
  }

  // What a list may show can be read alone, and nothing else can.
  const task = nth(tasks, request.read);
  const readable = sees(world, user, task);
  for (const [find, isThere] of [
    [() => findTask(db, actor, task.id), readable && task.deleted_at === null],
    [() => findDetail(db, actor, task.id), readable && task.deleted_at === null],
    [() => findTask(db, actor, task.id, { deleted: true }), readable && task.deleted_at !== null],
  ] as const) {
    const found = await find().catch((error: unknown) => problemCode(error));
    expect(typeof found === "string" ? found : (found as Task).id).toBe(isThere ? task.id : "not-found");
  }
}

type ProjectRequest = typeof projectRequest extends fc.Arbitrary<infer Value> ? Value : never;

async function checkProjects(world: World, request: ProjectRequest): Promise<void> {
  const user = nth(world.users, request.who);
  const { status, q, include_deleted, limit, byCursor, sort } = request;
  const filter: ProjectFilter = omitUndefined({ status, q, include_deleted });
  const expected = world.projects.filter(
    ({ roles, deleted_at, name, slug, ...project }) =>
      (user.role !== "user" || roles.has(user.id)) &&
      (deleted_at === null ||
        (include_deleted === true && (user.role === "admin" || roles.get(user.id) === "owner"))) &&
      (status === undefined || status.includes(project.status)) &&
      (q === undefined || name.toLowerCase().includes(q) || slug === q.toLowerCase()),
  );
  const list = (page: PageOf) => listProjects(db, actorOf(user), filter, page);
  const { items, totals } = await walk(list, { limit, sort, byCursor });
  expect(items.map(({ id }) => id)).toEqual(inOrder(expected, sort ?? "-created_at", KEYS));
  expect(totals).toEqual([byCursor ? undefined : expected.length]);
  for (const { id, role } of items)
    expect(role).toBe(world.projects.find((project) => project.id === id)?.roles.get(user.id) ?? null);
}

test("every list is what a filter and a sort over arrays give", async () => {
  await fc.assert(
    fc.asyncProperty(
      seeds.map(worldOf),
      fc.array(taskRequest, { minLength: 20, maxLength: 20 }),
      fc.array(projectRequest, { minLength: 4, maxLength: 4 }),
      async (world, taskRequests, projectRequests) => {
        await fill(world);
        for (const request of taskRequests) await checkTasks(world, request);
        for (const request of projectRequests) await checkProjects(world, request);
        for (const { id } of world.projects) {
          const within = world.tasks.filter((task) => task.project_id === id && task.deleted_at === null);
          const counts = TASK_STATUSES.map((status) => [
            status,
            within.filter((task) => task.status === status).length,
          ]);
          expect(await countByStatus(db, id, undefined, new Totals())).toEqual(Object.fromEntries(counts));
        }
      },
    ),
    { numRuns: 50 },
  );
  expect(requests).toBeGreaterThan(1000);
});
