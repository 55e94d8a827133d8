/** What Postgres says happened: the log with the times of its commits, and the state at the end. */
import pg from "pg";
import { isoTimestamp } from "../../mixins/database.ts";
import { digestOf } from "./digest.ts";
import type { FinalState, LogRow } from "./recording.ts";

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

export const dumpLog = (url: string): Promise<LogRow[]> =>
  session(url, async (client) => {
    const { rows } = await client.query<EventRow & { committed: number }>(
      `SELECT id, stream, seq, type, time, actor_id, request_id, data,
              coalesce(extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000, 0)::float8 AS committed
       FROM events.log ORDER BY stream, seq`,
    );
    return rows.map(({ committed, ...event }) => {
      const { id, stream, seq, type, request_id, data } = event;
      const { task, member } = data;
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
      };
    });
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

export const dumpState = (url: string): Promise<FinalState> =>
  session(url, async (client) => {
    const heads = await client.query<{ name: string; head: number }>("SELECT name, head FROM events.streams");
    const tasks = await client.query<{ id: string; title: string }>("SELECT id, title FROM tasks.tasks");
    const memberships = await client.query<{ project: string; user: string }>(
      `SELECT project_id AS project, user_id AS "user" FROM projects.memberships`,
    );
    return {
      heads: Object.fromEntries(heads.rows.map(({ name, head }) => [name, head])),
      tasks: tasks.rows,
      memberships: memberships.rows,
    };
  });
