/**
 * What Taskwire is measured against by `npm run bench`: fastify and pg in one process, the same SQL on the same tables,
 * the same JSON, the same check of the token; no limits, no validation, no broker, no pushes, no idempotency.
 */
import process from "node:process";
import { fastify } from "fastify";
import pg from "pg";
import { loadConfig } from "../core/config.ts";
import { newId } from "../core/ids.ts";
import type { Actor } from "../core/kit.ts";
import { createTokens, type VerifiedToken } from "../core/tokens.ts";
import { isoTimestamp, type Queryable, type Statement } from "../mixins/database.ts";
import { type Change, declareEvents, event } from "../core/events.ts";
import { type Cause, commit, newEvent, projectStream, withEvents } from "../mixins/event-log.ts";

interface Task {
  id: string;
  title: string;
  description: string | null;
  status: string;
  priority: string;
  project_id: string;
  category_id: string | null;
  created_by: string;
  assigned_to: string | null;
  due_date: string | null;
  completed_at: string | null;
  version: number;
  created_at: string;
  updated_at: string;
}

const COLUMNS = `t.id, t.title, t.description, t.status, t.priority, t.project_id, t.category_id, t.created_by,
  t.assigned_to, t.due_date, t.completed_at, t.version, t.created_at, t.updated_at`;

const PROJECT = `
  SELECT p.id, p.status, m.role FROM projects.summaries p
  LEFT JOIN projects.memberships m ON m.project_id = p.id AND m.user_id = $1
  WHERE p.id = $2`;

const MATCHING = `
  FROM tasks.tasks t WHERE t.deleted_at IS NULL AND t.project_id = (SELECT id FROM project)`;
const LIST = `
  WITH project AS (${PROJECT}),
  counted AS (SELECT count(*) AS total ${MATCHING}),
  page AS (SELECT ${COLUMNS} ${MATCHING} ORDER BY t.created_at DESC, t.id DESC LIMIT $3::int + 1 OFFSET $4::int)
  SELECT project.id AS of_project, project.role AS of_role, counted.total, page.*
  FROM counted LEFT JOIN project ON true LEFT JOIN page ON true
  ORDER BY page.created_at DESC, page.id DESC`;

const SEEN = `
  FROM tasks.tasks t
  LEFT JOIN projects.summaries p ON p.id = t.project_id
  LEFT JOIN projects.memberships m ON m.project_id = t.project_id AND m.user_id = $2`;
const WHICH = "WHERE t.id = $1 AND t.deleted_at IS NULL AND (t.project_id IS NULL OR p.id IS NOT NULL)";
const STANDING = "m.role AS project_role, p.status AS project_status";

const FIND = `SELECT ${COLUMNS}, ${STANDING} ${SEEN} ${WHICH}`;
const person = (name: string): string =>
  `CASE WHEN ${name}.id IS NOT NULL THEN json_build_object('id', ${name}.id, 'username', ${name}.username,
     'first_name', ${name}.first_name, 'last_name', ${name}.last_name) END`;
const DETAIL = `
  SELECT ${COLUMNS}, ${STANDING},
    json_build_object('id', p.id, 'slug', p.slug, 'name', p.name) AS project,
    ${person("creator")} AS creator, ${person("assignee")} AS assignee,
    CASE WHEN c.id IS NOT NULL THEN json_build_object('id', c.id, 'name', c.name, 'color', c.color) END AS category,
    (SELECT count(*) FROM tasks.comments WHERE task_id = t.id) AS comment_count
  ${SEEN}
  LEFT JOIN users.users creator ON creator.id = t.created_by
  LEFT JOIN users.users assignee ON assignee.id = t.assigned_to
  LEFT JOIN tasks.categories c ON c.id = t.category_id
  ${WHICH}`;

const INSERT = withEvents(
  `row AS (
     INSERT INTO tasks.tasks (id, title, description, status, priority, project_id, created_by, assigned_to, due_date,
                              completed_at, created_at, updated_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11) RETURNING id)`,
  12,
);

const UPDATE = withEvents(
  `row AS (
     UPDATE tasks.tasks
     SET title = $3, description = $4, status = $5, priority = $6, assigned_to = $7, due_date = $8, completed_at = $9,
         updated_at = $10, version = $2 + 1
     WHERE id = $1 AND version = $2 AND deleted_at IS NULL RETURNING id)`,
  11,
);

const config = loadConfig(process.env);
const tokens = createTokens(config);
const verified = new Map<string, VerifiedToken>();

const { TIMESTAMPTZ, INT8 } = pg.types.builtins as unknown as Record<string, number>;
const pool = new pg.Pool({
  connectionString: config.DATABASE_URL,
  max: config.DATABASE_POOL,
  options: "-c timezone=UTC",
  types: {
    getTypeParser: (oid: number, format?: "text" | "binary") => {
      if (oid === TIMESTAMPTZ) return isoTimestamp;
      if (oid === INT8) return Number;
      return pg.types.getTypeParser(oid, format) as unknown;
    },
  },
});
const db: Queryable = {
  query: async <Row extends object>(statement: Statement) => (await pool.query<Row>(statement)).rows,
};

/** The status of the answer to what can't be served. */
const refuse = (statusCode: number): Error => Object.assign(new Error("refused"), { statusCode });

/** Who asks. A token is verified once, as Taskwire does it. */
function actorOf(authorization = ""): Actor {
  const token = authorization.slice("Bearer ".length);
  const known = verified.get(token) ?? tokens.verify(token);
  verified.set(token, known);
  if (known.expiresAt <= Date.now()) throw refuse(401);
  return known.actor;
}

const writeContext = (actor: Actor) =>
  ({ actor, requestId: newId(), time: new Date().toISOString() }) satisfies Cause;

async function findTask(id: string, actor: Actor, text = FIND): Promise<Task> {
  const [row] = await db.query<Task & { project_role: string | null; project_status: string }>({
    name: text === FIND ? "find" : "detail",
    text,
    values: [id, actor.id],
  });
  if (row === undefined || row.project_role === null) throw refuse(404);
  const { project_role: _role, project_status: _status, ...task } = row;
  return task;
}

const events = declareEvents({
  task_created: event<{ task: Task }>("A task was created."),
  task_updated: event<{ task: Task; changes: { title: Change<string> } }>("A task was changed."),
});

const app = fastify();

app.get<{ Params: { id: string }; Querystring: { limit?: string; offset?: string } }>(
  "/projects/:id/tasks",
  async ({ headers, params, query }) => {
    const actor = actorOf(headers.authorization);
    const limit = Number(query.limit ?? 20);
    const offset = Number(query.offset ?? 0);
    const rows = await db.query<Task & { of_project: string | null; of_role: string | null; total: number }>({
      name: "list",
      text: LIST,
      values: [actor.id, params.id, limit, offset],
    });
    if (rows[0]?.of_role == null) throw refuse(404);
    const items = rows
      .filter(({ id }) => (id as string | null) !== null)
      .map(({ of_project: _project, of_role: _role, total: _total, ...task }) => task);
    const last = items.length > limit ? items[limit - 1] : undefined;
    const next_cursor = last && Buffer.from(JSON.stringify([last.created_at, last.id])).toString("base64url");
    return {
      items: items.slice(0, limit),
      limit,
      next_cursor: next_cursor ?? null,
      offset,
      total: rows[0].total,
    };
  },
);

app.get<{ Params: { id: string } }>("/tasks/:id", async ({ headers, params }) =>
  findTask(params.id, actorOf(headers.authorization), DETAIL),
);

app.post<{ Params: { id: string }; Body: { title: string } }>(
  "/projects/:id/tasks",
  async ({ headers, params, body }, reply) => {
    const cause = writeContext(actorOf(headers.authorization));
    const [project] = await db.query<{ id: string; status: string; role: string | null }>({
      name: "project",
      text: PROJECT,
      values: [cause.actor.id, params.id],
    });
    if (project === undefined || project.role === null) throw refuse(404);
    if (project.role === "viewer" || project.status === "archived") throw refuse(403);
    const task: Task = {
      id: newId(),
      title: body.title,
      description: null,
      status: "pending",
      priority: "medium",
      project_id: project.id,
      category_id: null,
      created_by: cause.actor.id,
      assigned_to: null,
      due_date: null,
      completed_at: null,
      version: 1,
      created_at: cause.time,
      updated_at: cause.time,
    };
    const logged = [newEvent(projectStream(project.id), events.task_created, { task }, cause)];
    const values = [
      task.id,
      task.title,
      task.description,
      task.status,
      task.priority,
      task.project_id,
      task.created_by,
      task.assigned_to,
      task.due_date,
      task.completed_at,
      task.created_at,
    ];
    await commit(db, { name: "insert", text: INSERT, values }, logged);
    reply.code(201);
    return task;
  },
);

app.patch<{ Params: { id: string }; Body: { title: string } }>(
  "/tasks/:id",
  async ({ headers, params, body }) => {
    const cause = writeContext(actorOf(headers.authorization));
    const before = await findTask(params.id, cause.actor);
    const task: Task = { ...before, title: body.title, version: before.version + 1, updated_at: cause.time };
    const changes = { title: { old: before.title, new: task.title } };
    const logged = [newEvent(projectStream(task.project_id), events.task_updated, { task, changes }, cause)];
    const values = [
      task.id,
      before.version,
      task.title,
      task.description,
      task.status,
      task.priority,
      task.assigned_to,
      task.due_date,
      task.completed_at,
      task.updated_at,
    ];
    if ((await commit(db, { name: "update", text: UPDATE, values }, logged)) === null) throw refuse(409);
    return task;
  },
);

await app.listen({ host: "127.0.0.1", port: config.PORT });
process.once("SIGTERM", () => process.exit());
process.once("disconnect", () => process.exit());
process.send?.("ready");
