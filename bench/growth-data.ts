/** The database that bench/growth.ts fills: what some users see of a system that grows around them and with them. */
import type pg from "pg";

const [USERS, OTHER_PROJECTS] = [1000, 980];
/** Projects of the caller, and of the caller who is in many. */
export const [FEW, MANY] = [20, 200];

export interface People {
  /** In 20 projects, of which the first has 19 % of all tasks, and the others 20 %. */
  me: string;
  /** In 200 projects, those of `me` among them. */
  wide: string;
  admin: string;
}

export interface Grown {
  /** Those of `me`; the first one is large. */
  projects: string[];
  category: string;
  /** Somebody else's id, who created a thousandth of all tasks. */
  creator: string;
}

const PROJECTS = "(SELECT array_agg(id ORDER BY created_at) FROM projects.projects)";
const EVERYBODY = "(SELECT array_agg(id ORDER BY created_at) FROM users.users WHERE username LIKE 'grown-%')";
/** Indexes that take most of the time where rows come one by one. */
const SLOW_INDEXES = ["tasks.tasks_words_idx", "events.log_thing_idx"];

/** Users, projects and memberships, the same at each size. */
export async function prepare(client: pg.Client, { me, wide, admin }: People): Promise<Grown> {
  const run = (text: string, ...values: unknown[]) => client.query(text, values);
  await run("UPDATE users.users SET role = 'admin' WHERE id = $1", admin);
  await run(
    `INSERT INTO users.users (id, email, username, password_hash, created_at, updated_at, email_key, username_key)
     SELECT gen_random_uuid(), name, name, '', now() + n * interval '1 ms', now(), name, name
     FROM generate_series(1, $1::int) AS n CROSS JOIN LATERAL (SELECT 'grown-' || n) AS of (name)`,
    USERS,
  );
  await run(
    `INSERT INTO projects.projects (id, slug, name, owner_id, created_at, updated_at)
     SELECT id, id, 'Project ' || n, $2, now() + n * interval '1 ms', now()
     FROM generate_series(1, $1::int) AS n CROSS JOIN LATERAL (SELECT gen_random_uuid() WHERE n > 0) AS of (id)`,
    FEW + OTHER_PROJECTS,
    me,
  );
  const { rows } = await run(`SELECT ${PROJECTS} AS projects, ${EVERYBODY} AS users`);
  const [{ projects, users }] = rows as [{ projects: string[]; users: string[] }];
  for (const [user, count] of [
    [me, FEW],
    [wide, MANY],
  ] as const)
    await run(
      "INSERT INTO projects.members SELECT id, $2, 'manager', now() FROM unnest($1::uuid[]) AS id",
      projects.slice(0, count),
      user,
    );
  const category = crypto.randomUUID();
  await run(
    `INSERT INTO tasks.categories (id, user_id, name, color, created_at, updated_at, name_key)
     VALUES ($1, $2, 'Mine', '#000000', now(), now(), 'mine')`,
    category,
    me,
  );
  return { projects: projects.slice(0, FEW), category, creator: users[6] as string };
}

/**
 * Adds the tasks `from` + 1 to `to`, and the event that each of them made. Words: `needle` is in ten of the first thousand,
 * `word7` in a thousandth, `deploy` in a third.
 */
export async function grow(
  client: pg.Client,
  { me, category, from, to }: { me: string; category: string; from: number; to: number },
): Promise<void> {
  const run = (text: string, ...values: unknown[]) => client.query(text, values);
  const { rows: indexes } = await client.query<{ name: string; def: string }>(
    "SELECT name, pg_get_indexdef(name::regclass) AS def FROM unnest($1::text[]) AS name",
    [SLOW_INDEXES],
  );
  for (const { name } of indexes) await run(`DROP INDEX ${name}`);
  // The foreign keys hold by construction; a look at each would take a minute.
  await run("SET session_replication_role = replica");
  await run(
    "INSERT INTO events.streams (name, head) SELECT 'project:' || id, 0 FROM projects.projects ON CONFLICT DO NOTHING",
  );
  await run(
    `WITH made AS (
       INSERT INTO tasks.tasks (id, title, description, status, priority, project_id, created_by, assigned_to, category_id,
                                due_date, created_at, updated_at)
       SELECT uuidv7(at - now()),
              'Task ' || n || ' of word' || n % 1000 || CASE WHEN n % 3 = 0 THEN ': deploy it' ELSE ': look at it' END
                || CASE WHEN n < 1000 AND n % 100 = 0 THEN ' needle' ELSE '' END,
              'Noted in the weekly meeting of team ' || n % 50 || ', after some talk about what is to be done first and by whom. '
                || 'The customer ' || n % 5000 || ' waits for it and has asked twice.',
              (ARRAY['pending', 'pending', 'in_progress', 'cancelled', 'archived', 'archived', 'completed'])
                [least(7, 1 + (n / 3) % 20)],
              (ARRAY['urgent', 'high', 'high', 'low', 'low', 'low', 'medium'])[least(7, 1 + (n / 7) % 20)],
              CASE WHEN n % 100 < 19 THEN project.ids[1]
                   WHEN n % 100 < 39 THEN project.ids[2 + (n / 100) % ${FEW - 1}]
                   WHEN n % 100 < 97 THEN project.ids[${FEW + 1} + n / 100 % ${OTHER_PROJECTS}] END,
              CASE WHEN n % 500 IN (5, 98) THEN $3::uuid ELSE person.ids[1 + (n / 7) % ${USERS}] END,
              CASE WHEN n % 300 = 0 THEN $3::uuid WHEN n % 5 < 2 THEN person.ids[1 + (n / 11) % ${USERS}] END,
              CASE WHEN n % 2000 = 1 THEN $4::uuid END,
              CASE WHEN n % 3 = 1 THEN now() + (n::bigint * 7919 % 1000 - 500) * interval '9 hours' END,
              at, at + (n::bigint * 104729 % 100000) * interval '5 s'
       FROM generate_series($1::int + 1, $2::int) AS n
       CROSS JOIN LATERAL (SELECT now() - (2000000 - n) * interval '20 s') AS created (at)
       CROSS JOIN (SELECT ${PROJECTS}) AS project (ids) CROSS JOIN (SELECT ${EVERYBODY}) AS person (ids)
       RETURNING id, title, description, status, priority, project_id, category_id, created_by, assigned_to, due_date,
                 completed_at, version, created_at, updated_at),
     logged AS (
       INSERT INTO events.log (stream, seq, id, type, time, actor_id, request_id, data)
       SELECT s.name, s.head + row_number() OVER (PARTITION BY s.name ORDER BY made.id), uuidv7(made.created_at - now()),
              'task_created', made.created_at, made.created_by, 'bench', json_build_object('task', to_json(made))
       FROM made JOIN events.streams s ON s.name = 'project:' || made.project_id
       RETURNING stream, seq, id)
     UPDATE events.streams s SET head = last.seq, last_id = last.id
     FROM (SELECT DISTINCT ON (stream) stream, seq, id FROM logged ORDER BY stream, seq DESC) last
     WHERE s.name = last.stream`,
    from,
    to,
    me,
    category,
  );
  await run("RESET session_replication_role");
  for (const { def } of indexes) await run(def);
  await run("VACUUM ANALYZE");
}
