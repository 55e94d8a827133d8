/** The only changes that the log knows: texts are redacted, and streams that nobody can read are forgotten. */
import type { Queryable } from "./database.ts";

interface Thing {
  kind: "task" | "comment";
  id: string;
}

/** As log_thing_idx has it (migrations/0018). */
const THING = "coalesce(data -> 'task' ->> 'id', data -> 'comment' ->> 'id')";

/** A task or a comment as its last event shows it; null for no event. Plan: log_thing_idx. */
export async function findInLog(db: Queryable, { kind, id }: Thing): Promise<object | null> {
  const [found] = await db.query<{ thing: object }>({
    name: "events-find-thing",
    text: `SELECT data -> $2 AS thing FROM events.log WHERE ${THING} = $1 ORDER BY time DESC, seq DESC LIMIT 1`,
    values: [id, kind],
  });
  return found?.thing ?? null;
}

/** Events that one statement rewrites. */
const REDACT_EVENTS = 1000;

/**
 * Sets texts of a task or a comment to null in all its events, in each stream, and in their `changes`. Plan:
 * log_thing_idx.
 * @param texts the fields, each with the value that a redacted one has
 * @returns how many events had such a text
 */
export async function redactLog(
  tx: Queryable,
  { kind, id, texts }: Thing & { texts: Readonly<Record<string, string | null>> },
): Promise<number> {
  for (let cleared = 0; ;) {
    const [{ n } = { n: 0 }] = await tx.query<{ n: number }>({
      name: "events-redact",
      text: `WITH texts AS (SELECT key, value FROM jsonb_each_text($3::jsonb)),
             found AS (
               SELECT l.stream, l.seq, l.data FROM (
                 SELECT stream, seq, data::jsonb AS data FROM events.log WHERE ${THING} = $1) l
               WHERE EXISTS (
                 SELECT FROM texts
                 WHERE l.data -> $2 ->> key <> coalesce(value, '')
                    OR coalesce(l.data #>> ARRAY['changes', key, 'old'], l.data #>> ARRAY['changes', key, 'new']) IS NOT NULL)
               LIMIT $4),
             done AS (
               UPDATE events.log l
               SET data = (f.data
                 || jsonb_build_object($2, f.data -> $2 || (SELECT jsonb_object_agg(key, NULL) FROM texts))
                 || CASE WHEN f.data ? 'changes' THEN jsonb_build_object('changes', f.data -> 'changes' || coalesce(
                      (SELECT jsonb_object_agg(key, '{"old": null, "new": null}'::jsonb) FROM texts
                       WHERE f.data -> 'changes' ? key), '{}')) ELSE '{}' END)::json
               FROM found f WHERE l.stream = f.stream AND l.seq = f.seq RETURNING 1)
             SELECT count(*)::int AS n FROM done`,
      values: [id, kind, JSON.stringify(texts), REDACT_EVENTS],
    });
    cleared += n;
    if (n < REDACT_EVENTS) return cleared;
  }
}

/** Events that one statement forgets. */
const FORGET_EVENTS = 5000;

/** Forgets the oldest events of a stream that nobody can read any more. @returns whether there may be more */
export async function forgetEvents(db: Queryable, stream: string): Promise<boolean> {
  const rows = await db.query({
    name: "events-forget",
    slow: "bounded",
    text: `WITH gone AS (
             DELETE FROM events.log WHERE stream = $1 AND seq IN (
               SELECT seq FROM events.log WHERE stream = $1 ORDER BY seq LIMIT $2)
             RETURNING 1)
           SELECT 1 FROM gone`,
    values: [stream, FORGET_EVENTS],
  });
  return rows.length === FORGET_EVENTS;
}

/** Forgets a stream with its last few events: its project was removed for good. */
export async function forgetStream(db: Queryable, stream: string): Promise<void> {
  await forgetEvents(db, stream);
  await db.query({ text: "DELETE FROM events.streams WHERE name = $1", values: [stream] });
}
