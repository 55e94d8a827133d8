/**
 * The only changes that the log knows: texts are redacted, old events are forgotten, and so are streams that nobody can
 * read.
 */
import type { Queryable } from "./database.ts";

interface Thing {
  kind: "task" | "comment";
  id: string;
}

/** As log_thing_idx has it (migrations/0018). */
export const THING = "coalesce(data -> 'task' ->> 'id', data -> 'comment' ->> 'id')";

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

/** Streams that one statement looks at for old events. */
const WALK_STREAMS = 1000;

/**
 * Forgets old events of the streams that follow `after` in the order of their names, in a batch. A stream's events
 * go in the order of seq, not of time, so that no hole remains between the kept ones. Its last event stays, whatever its
 * age: readers are anchored at it. Plan: primary keys of events.streams and events.log.
 * @param before ISO 8601
 * @param after a stream's name; empty at the beginning
 * @returns the name that the next batch follows; null at the end
 */
export async function forgetOldEvents(db: Queryable, before: string, after: string): Promise<string | null> {
  const [{ last, forgotten } = { last: null, forgotten: 0 }] = await db.query<{
    last: string | null;
    forgotten: number;
  }>({
    name: "events-forget-old",
    slow: "bounded",
    text: `WITH walked AS (
             SELECT name, head FROM events.streams WHERE name > $1 ORDER BY name LIMIT $3),
           old AS (
             SELECT w.name, first.seq, least(w.head, coalesce(young.seq, first.seq + $4)) AS cut
             FROM walked w
             CROSS JOIN LATERAL (
               SELECT seq, time FROM events.log WHERE stream = w.name ORDER BY seq LIMIT 1) first
             LEFT JOIN LATERAL (
               SELECT seq FROM (SELECT seq, time FROM events.log WHERE stream = w.name ORDER BY seq LIMIT $4) e
               WHERE time >= $2 ORDER BY seq LIMIT 1) young ON true
             WHERE first.time < $2 AND first.seq < w.head),
           batch AS (
             SELECT name, cut FROM (SELECT name, cut, sum(cut - seq) OVER (ORDER BY name) AS events FROM old) o
             WHERE events <= $4),
           gone AS (
             DELETE FROM events.log l USING batch b WHERE l.stream = b.name AND l.seq < b.cut RETURNING 1)
           SELECT (SELECT max(name) FROM walked) AS last, (SELECT count(*)::int FROM gone) AS forgotten`,
    values: [after, before, WALK_STREAMS, FORGET_EVENTS],
  });
  return forgotten > 0 ? after : last;
}

/**
 * The time of the oldest event that the retention will forget; null for none. The last event of a stream stays, so it does
 * not count. It walks all streams as `forgetOldEvents` does, since an index by time would cost every write: 100,000 streams
 * are 100 statements, and take a second or two. Plan: primary keys of events.streams and events.log.
 */
export async function oldestToForget(db: Queryable): Promise<string | null> {
  let oldest: string | null = null;
  let after: string | null = "";
  while (after !== null) {
    const [page]: { last: string | null; oldest: string | null }[] = await db.query({
      name: "events-oldest",
      slow: "bounded",
      text: `WITH walked AS (
               SELECT name, head FROM events.streams WHERE name > $1 ORDER BY name LIMIT $2)
             SELECT (SELECT max(name) FROM walked) AS last, min(first.time) AS oldest
             FROM walked w
             CROSS JOIN LATERAL (SELECT seq, time FROM events.log WHERE stream = w.name ORDER BY seq LIMIT 1) first
             WHERE first.seq < w.head`,
      values: [after, WALK_STREAMS],
    });
    const found = page?.oldest ?? null;
    if (found !== null && (oldest === null || Date.parse(found) < Date.parse(oldest))) oldest = found;
    after = page?.last ?? null;
  }
  return oldest;
}

/** Forgets a stream with its last few events: its project was removed for good. */
export async function forgetStream(db: Queryable, stream: string): Promise<void> {
  await forgetEvents(db, stream);
  await db.query({ text: "DELETE FROM events.streams WHERE name = $1", values: [stream] });
}
