/** What Postgres says happened: the log with the times of its commits, and the state at the end. */
import pg from "pg";
import { isoTimestamp } from "../../mixins/database.ts";
import { verify } from "../../scripts/verify/verify.ts";
import { REDACTED } from "../../services/tasks/tasks.view.ts";
import { digestOf } from "./digest.ts";
import type { FinalState, LoggedMove, LogRow } from "./recording.ts";

const { TIMESTAMPTZ, INT8 } = pg.types.builtins as unknown as Record<string, number>;
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") => {
    if (oid === TIMESTAMPTZ) return isoTimestamp;
    return oid === INT8 ? Number : (pg.types.getTypeParser(oid, format) as unknown);
  },
};

async function session<Result>(url: string, work: (client: pg.Client) => Promise<Result>): Promise<Result> {
  const client = new pg.Client({ connectionString: url, types, options: "-c timezone=UTC" });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

interface EventRow {
  id: string;
  stream: string;
  seq: number;
  type: string;
  time: string;
  actor_id: string | null;
  request_id: string | null;
  data: { task?: { id: string; deleted_at?: string | null }; member?: { user_id: string } };
}

/**
 * Keeps the events that a redaction rewrites, and when each was committed: the log itself then has the time of the
 * redaction. The nodes know nothing of it.
 */
export const watchRewrites = (url: string): Promise<void> =>
  session(url, async (client) => {
    await client.query(`
      CREATE SCHEMA chaos;
      CREATE TABLE chaos.rewritten (LIKE events.log, committed timestamptz);
      CREATE FUNCTION chaos.keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO chaos.rewritten SELECT OLD.*, pg_xact_commit_timestamp(OLD.xmin);
        RETURN NEW;
      END $$;
      CREATE TRIGGER chaos_keep BEFORE UPDATE ON events.log FOR EACH ROW EXECUTE FUNCTION chaos.keep()`);
  });

/** Events as they were before redactions, by their ids, the oldest first. */
async function readRewrites(
  client: pg.Client,
): Promise<Map<string, { committed: number; digest: string; until: number }[]>> {
  const { rows } = await client.query<EventRow & { committed: number; until: number }>(
    `SELECT id, stream, seq, type, time, actor_id, request_id, data,
            extract(epoch FROM committed)::float8 * 1000 AS committed,
            extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 * 1000 AS until
     FROM chaos.rewritten ORDER BY committed, until`,
  );
  const rewrites = new Map<string, { committed: number; digest: string; until: number }[]>();
  for (const { committed, until, ...event } of rows) {
    const key = `${event.stream} ${event.id}`;
    rewrites.set(key, [...(rewrites.get(key) ?? []), { committed, digest: digestOf(event), until }]);
  }
  return rewrites;
}

export const dumpLog = (url: string): Promise<LogRow[]> =>
  session(url, async (client) => {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const rewrites = await readRewrites(client);
    const { rows } = await client.query<EventRow & { committed: number }>(
      `SELECT id, stream, seq, type, time, actor_id, request_id, data,
              coalesce(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000, 0)::float8 AS committed
       FROM events.log ORDER BY stream, seq`,
    );
    return rows.map(({ committed: last, ...event }) => {
      const { id, stream, seq, type, request_id, data } = event;
      const { task, member } = data;
      const earlier = rewrites.get(`${stream} ${id}`);
      const committed = earlier?.[0]?.committed ?? last;
      return {
        stream,
        seq,
        id,
        type,
        request_id,
        committed,
        digest: digestOf(event),
        ...(task && {
          task: { id: task.id, digest: digestOf(task), deleted: (task.deleted_at ?? null) !== null },
        }),
        ...(member && { member: member.user_id }),
        ...(earlier && { earlier: earlier.map(({ digest, until }) => ({ digest, until })) }),
      };
    });
  });

/** What happened to the cards of a board, and how the cards of its column stand. */
export const dumpBoard = (
  url: string,
  project: string,
  column: string,
): Promise<{ moves: LoggedMove[]; order: string[] }> =>
  session(url, async (client) => {
    const { rows: moves } = await client.query<LoggedMove>(
      `SELECT request_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 * 1000 AS committed,
              data->'task'->>'id' AS task, data->'task'->>'status' AS status, data->'task'->>'position' AS position
       FROM events.log WHERE stream = 'project:' || $1 AND data->'task' IS NOT NULL ORDER BY seq`,
      [project],
    );
    const { rows } = await client.query<{ id: string }>(
      "SELECT id FROM tasks.tasks WHERE project_id = $1 AND status = $2 AND deleted_at IS NULL ORDER BY position",
      [project, column],
    );
    return { moves, order: rows.map(({ id }) => id) };
  });

/** The last events of each stream that `forgetEvents` leaves. */
const KEPT_EVENTS = 3;

/** Forgets events of a log that was dumped, but the last few of each stream. */
export const forgetEvents = (url: string, rows: LogRow[]): Promise<void> =>
  session(url, async (client) => {
    const heads = new Map(rows.map(({ stream, seq }) => [stream, seq]));
    for (const [stream, head] of heads)
      await client.query("DELETE FROM events.log WHERE stream = $1 AND seq <= $2", [
        stream,
        head - KEPT_EVENTS,
      ]);
  });

/** Rows that no event tells of, as `row` of a call names them. */
const ROWS = `
  SELECT 'category ' || name AS name, color AS state FROM tasks.categories WHERE deleted_at IS NULL
  UNION ALL SELECT 'token ' || id, 'valid' FROM auth.personal_tokens WHERE revoked_at IS NULL
  UNION ALL SELECT 'account ' || username, email FROM users.users
  UNION ALL SELECT 'verified ' || username, is_verified::text FROM users.users
  UNION ALL SELECT 'name of ' || id, first_name FROM users.users WHERE first_name IS NOT NULL
  UNION ALL SELECT 'role of ' || id, role FROM users.users`;
/** Where texts are kept. */
const TEXTS = `
  SELECT data::text AS text FROM events.log
  UNION ALL SELECT response::text FROM idempotency.keys
  UNION ALL SELECT concat(title, ' ', description) FROM tasks.tasks
  UNION ALL SELECT body FROM tasks.comments`;

export const dumpState = (url: string): Promise<FinalState> =>
  session(url, async (client) => {
    const read = async <Row extends object>(sql: string, values: unknown[] = []): Promise<Row[]> =>
      (await client.query<Row>(sql, values)).rows;
    const heads = await read<{ name: string; head: number }>("SELECT name, head FROM events.streams");
    const rows = await read<{ name: string; state: string }>(ROWS);
    const secrets = await read<{ text: string }>(
      `SELECT DISTINCT (regexp_matches(text, 'canary-[0-9a-f-]+-secret', 'g'))[1] AS text FROM (${TEXTS}) t`,
    );
    const { findings } = await verify(url);
    return {
      heads: Object.fromEntries(heads.map(({ name, head }) => [name, head])),
      tasks: await read("SELECT id, title FROM tasks.tasks WHERE title <> $1", [REDACTED.task.title]),
      memberships: await read(`SELECT project_id AS project, user_id AS "user" FROM projects.memberships`),
      rows: Object.fromEntries(rows.map(({ name, state }) => [name, state])),
      secrets: secrets.map(({ text }) => text),
      faults: findings.flatMap(({ kind, named }) => named.map((text) => `${kind}: ${text}`)),
    };
  });
