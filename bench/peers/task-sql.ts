/** The statements of task-store.ts. */
import type { Statement } from "../../mixins/database.ts";
import { withEvents } from "../../mixins/event-log.ts";

export interface Filter {
  status?: string;
  priority?: string;
  q?: string;
}

const COLUMNS = `t.id, t.title, t.description, t.status, t.priority, t.project_id, t.category_id, t.created_by,
  t.assigned_to, t.due_date, t.completed_at, t.position, t.version, t.created_at, t.updated_at`;

export const PROJECT = {
  name: "project",
  text: `
  SELECT p.id, p.status, m.role FROM projects.summaries p
  LEFT JOIN projects.memberships m ON m.project_id = p.id AND m.user_id = $1
  WHERE p.id = $2`,
};

/** A page of a project's tasks with its total, newest first; a search by rank. */
export function listStatement(
  user: string,
  project: string,
  limit: number,
  offset: number,
  { status, priority, q }: Filter,
): Statement {
  const values: unknown[] = [user, project, limit, offset];
  const conditions = ["t.deleted_at IS NULL", "t.project_id = (SELECT id FROM project)"];
  const add = (value: unknown, condition: (place: string) => string): void => {
    if (value !== undefined) conditions.push(condition(`$${values.push(value)}`));
  };
  let order = "t.created_at DESC, t.id DESC";
  add(status?.split(","), (place) => `t.status = ANY (${place}::text[])`);
  add(priority?.split(","), (place) => `t.priority = ANY (${place}::text[])`);
  add(q, (place) => {
    // As a subquery it is parsed once, and not for each row.
    const words = `(SELECT tasks.search_query(${place}))`;
    order = `ts_rank(t.words, ${words}) DESC, t.id DESC`;
    return `t.words @@ ${words}`;
  });
  const matching = `FROM tasks.tasks t WHERE ${conditions.join(" AND ")}`;
  return {
    name: `list ${[status, priority, q].map((value) => Number(value !== undefined)).join("")}`,
    text: `
      WITH project AS (${PROJECT.text}),
      counted AS (SELECT count(*) AS total ${matching}),
      page AS (
        SELECT ${COLUMNS}, row_number() OVER (ORDER BY ${order}) AS nth ${matching}
        ORDER BY ${order} LIMIT $3::int + 1 OFFSET $4::int)
      SELECT project.role AS of_role, counted.total, ${COLUMNS.replaceAll("t.", "page.")}
      FROM counted LEFT JOIN project ON true LEFT JOIN page ON true ORDER BY page.nth`,
    values,
  };
}

const SEEN = `
  FROM tasks.tasks t
  LEFT JOIN projects.summaries p ON p.id = t.project_id
  LEFT JOIN projects.memberships m ON m.project_id = t.project_id AND m.user_id = $2`;
const WHICH = "WHERE t.id = $1 AND t.deleted_at IS NULL AND (t.project_id IS NULL OR p.id IS NOT NULL)";
const STANDING = "m.role AS project_role, p.status AS project_status";

export const FIND = { name: "find", text: `SELECT ${COLUMNS}, ${STANDING} ${SEEN} ${WHICH}` };
const person = (name: string): string =>
  `CASE WHEN ${name}.id IS NOT NULL THEN json_build_object('id', ${name}.id, 'username', ${name}.username,
     'first_name', ${name}.first_name, 'last_name', ${name}.last_name) END`;
export const DETAIL = {
  name: "detail",
  text: `
  SELECT ${COLUMNS}, ${STANDING},
    json_build_object('id', p.id, 'slug', p.slug, 'name', p.name) AS project,
    ${person("creator")} AS creator, ${person("assignee")} AS assignee,
    CASE WHEN c.id IS NOT NULL THEN json_build_object('id', c.id, 'name', c.name, 'color', c.color) END AS category,
    (SELECT count(*) FROM tasks.comments WHERE task_id = t.id) AS comment_count
  ${SEEN}
  LEFT JOIN users.users creator ON creator.id = t.created_by
  LEFT JOIN users.users assignee ON assignee.id = t.assigned_to
  LEFT JOIN tasks.categories c ON c.id = t.category_id
  ${WHICH}`,
};

const INSERTED = `id, title, description, status, priority, project_id, created_by, assigned_to, due_date, completed_at,
  position, created_at, updated_at`;

export const INSERT = {
  name: "insert",
  text: withEvents(
    `row AS (
     INSERT INTO tasks.tasks (${INSERTED}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
     RETURNING id)`,
    14,
  ),
};

/** `$1` holds the tasks as JSON. */
export const INSERT_MANY = {
  name: "insert-many",
  text: withEvents(
    `row AS (
     INSERT INTO tasks.tasks (${INSERTED})
     SELECT ${INSERTED} FROM json_populate_recordset(NULL::tasks.tasks, $1::json) RETURNING id)`,
    2,
  ),
};

export const UPDATE = {
  name: "update",
  text: withEvents(
    `row AS (
     UPDATE tasks.tasks SET title = $3, status = $4, completed_at = $5, updated_at = $6, version = $2 + 1
     WHERE id = $1 AND version = $2 AND deleted_at IS NULL RETURNING id)`,
    7,
  ),
};

export const ACCOUNT = {
  name: "account",
  text: "SELECT id, role, password_hash FROM users.users WHERE username_key = $1 AND is_active",
};

export const OPEN_SESSION = {
  name: "open-session",
  text: `
  WITH session AS (
    INSERT INTO auth.sessions (id, user_id, created_at, last_used_at) VALUES ($1, $2, now(), now()) RETURNING id)
  INSERT INTO auth.refresh_tokens (hash, session_id, expires_at) SELECT $3, id, now() + interval '30 days' FROM session`,
};
