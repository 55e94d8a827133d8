/**
 * What `npm run bench` compares Taskwire with: the same SQL on the same tables by pg, the same JSON, the same events in the
 * log. No limits, no validation, no pushes, no idempotency, no cache. bare.ts serves it by fastify, skeleton.ts by
 * moleculer-web over NATS.
 */
import { createHash, randomBytes } from "node:crypto";
import bcrypt from "bcrypt";
import pg from "pg";
import type { Config } from "../../core/config.ts";
import { type Change, declareEvents, event } from "../../core/events.ts";
import { newId } from "../../core/ids.ts";
import type { Actor, Role } from "../../core/kit.ts";
import { createTokens, type VerifiedToken } from "../../core/tokens.ts";
import { isoTimestamp, type Queryable, type Statement } from "../../mixins/database.ts";
import { type Cause, commit, newEvent, projectStream } from "../../mixins/event-log.ts";
import * as sql from "./task-sql.ts";

export interface Task {
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
  position: string;
  version: number;
  created_at: string;
  updated_at: string;
}

/** A request's params: path, query and body in one. */
export interface Params {
  list: { id: string } & sql.Filter & { limit?: string; offset?: string };
  get: { id: string };
  create: { id: string; title: string };
  patch: { id: string; title: string };
  transition: { id: string; to: string };
  bulk: { operations: ({ op: string; project_id: string; title: string } & Partial<Task>)[] };
  login: { login: string; password: string };
}

/** The error of what can't be served, with its status as fastify and as Moleculer read it. */
export const refuse = (status: number): Error =>
  Object.assign(new Error("refused"), { statusCode: status, code: status });

/** Finds who asks. A token is verified once, as Taskwire does it. */
export function createGuard(config: Config): (authorization: string | undefined) => Actor {
  const tokens = createTokens(config);
  const verified = new Map<string, VerifiedToken>();
  return (authorization = "") => {
    const token = authorization.slice("Bearer ".length);
    const known = verified.get(token) ?? tokens.verify(token);
    verified.set(token, known);
    if (known.expiresAt <= Date.now()) throw refuse(401);
    return known.actor;
  };
}

const { TIMESTAMPTZ, INT8 } = pg.types.builtins as unknown as Record<string, number>;

function connect(config: Config): Queryable {
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
  // A connection that is lost while it is idle ends the measurement with the next request.
  pool.on("error", (error) => process.stderr.write(`${error.message}\n`));
  return {
    query: async <Row extends object>({ name, text, values }: Statement) =>
      (await pool.query<Row>({ name, text, values })).rows,
  };
}

const events = declareEvents({
  task_created: event<{ task: Task }>("A task was created.", () => []),
  task_updated: event<{ task: Task; changes: Record<string, Change<string>> }>(
    "A task was changed.",
    () => [],
  ),
});

const causeOf = (actor: Actor) =>
  ({ actor, requestId: newId(), time: new Date().toISOString() }) satisfies Cause;

const blank = (
  { actor, time }: ReturnType<typeof causeOf>,
  project_id: string,
  title: string,
  id = newId(),
): Task => ({
  id,
  title,
  description: null,
  status: "pending",
  priority: "medium",
  project_id,
  category_id: null,
  created_by: actor.id,
  assigned_to: null,
  due_date: null,
  completed_at: null,
  position: id.replaceAll("-", ""),
  version: 1,
  created_at: time,
  updated_at: time,
});

/** The operations on tasks, each as few statements as it takes. */
export function openStore(config: Config) {
  const db = connect(config);
  const tokens = createTokens(config);

  async function find(id: string, actor: Actor, statement: { name: string; text: string }): Promise<Task> {
    const [row] = await db.query<Task & { project_role: string | null; project_status: string }>({
      ...statement,
      values: [id, actor.id],
    });
    if (row === undefined || row.project_role === null) throw refuse(404);
    const { project_role: _role, project_status: _status, ...task } = row;
    return task;
  }

  async function mustWrite(actor: Actor, id: string): Promise<void> {
    const [project] = await db.query<{ status: string; role: string | null }>({
      ...sql.PROJECT,
      values: [actor.id, id],
    });
    if (project === undefined || project.role === null) throw refuse(404);
    if (project.role === "viewer" || project.status === "archived") throw refuse(403);
  }

  const creationOf = (task: Task, cause: Cause) =>
    newEvent(projectStream(task.project_id), events.task_created, { task }, cause);

  async function change(actor: Actor, id: string, fields: Partial<Task>): Promise<Task> {
    const cause = causeOf(actor);
    const before = await find(id, actor, sql.FIND);
    const task = { ...before, ...fields, version: before.version + 1, updated_at: cause.time };
    const changes = Object.fromEntries(
      Object.entries(fields).map(([field, now]) => [
        field,
        { old: String(before[field as keyof Task]), new: String(now) },
      ]),
    );
    const logged = [newEvent(projectStream(task.project_id), events.task_updated, { task, changes }, cause)];
    const { title, status, completed_at, updated_at } = task;
    const values = [id, before.version, title, status, completed_at, updated_at];
    if ((await commit(db, { ...sql.UPDATE, values }, logged)) === null) throw refuse(409);
    return task;
  }

  return {
    async list(actor: Actor, { id, limit = "20", offset = "0", ...filter }: Params["list"]) {
      const most = Number(limit);
      const rows = await db.query<Task & { of_role: string | null; total: number }>(
        sql.listStatement(actor.id, id, most, Number(offset), filter),
      );
      if (rows[0]?.of_role == null) throw refuse(404);
      const items = rows
        .filter((row) => (row.id as string | null) !== null)
        .map(({ of_role: _role, total: _total, ...task }) => task);
      const last = items.length > most ? items[most - 1] : undefined;
      const next_cursor =
        last && Buffer.from(JSON.stringify([last.created_at, last.id])).toString("base64url");
      return {
        items: items.slice(0, most),
        limit: most,
        next_cursor: next_cursor ?? null,
        offset: Number(offset),
        total: rows[0].total,
      };
    },

    get: (actor: Actor, { id }: Params["get"]) => find(id, actor, sql.DETAIL),

    async create(actor: Actor, { id, title }: Params["create"]) {
      await mustWrite(actor, id);
      const cause = causeOf(actor);
      const task = blank(cause, id, title);
      const { description, status, priority, created_by, assigned_to, due_date, completed_at, position } =
        task;
      const first = [task.id, title, description, status, priority, id, created_by, assigned_to];
      const values = [...first, due_date, completed_at, position, cause.time, cause.time];
      await commit(db, { ...sql.INSERT, values }, [creationOf(task, cause)]);
      return task;
    },

    patch: (actor: Actor, { id, title }: Params["patch"]) => change(actor, id, { title }),

    transition: (actor: Actor, { id, to }: Params["transition"]) =>
      change(actor, id, { status: to, completed_at: to === "completed" ? new Date().toISOString() : null }),

    /** Creations alone. */
    async bulk(actor: Actor, { operations }: Params["bulk"]) {
      for (const id of new Set(operations.map(({ project_id }) => project_id))) await mustWrite(actor, id);
      const cause = causeOf(actor);
      const tasks = operations.map(({ op: _op, project_id, title, ...fields }) => ({
        ...blank(cause, project_id, title),
        ...fields,
      }));
      const logged = tasks.map((task) => creationOf(task, cause));
      await commit(db, { ...sql.INSERT_MANY, values: [JSON.stringify(tasks)] }, logged);
      return { results: tasks.map((task) => ({ op: "create", status: 201, task })) };
    },

    async login({ login, password }: Params["login"]) {
      const [account] = await db.query<{ id: string; role: Role; password_hash: string }>({
        ...sql.ACCOUNT,
        values: [login],
      });
      if (account === undefined) throw refuse(401);
      const digest = createHash("sha256").update(password).digest("base64");
      if (!(await bcrypt.compare(digest, account.password_hash))) throw refuse(401);
      const [session, secret] = [newId(), randomBytes(32).toString("base64url")];
      const hash = createHash("sha256").update(secret).digest();
      await db.query({ ...sql.OPEN_SESSION, values: [session, account.id, hash] });
      const { token, expiresIn } = tokens.sign({ id: account.id, role: account.role, session });
      return { access_token: token, token_type: "Bearer", expires_in: expiresIn, refresh_token: secret };
    },
  };
}
