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
  const [{ forgotten } = { forgotten: 0 }] = await db.query<{ forgotten: number }>({
    name: "events-forget",
    slow: "bounded",
    text: `WITH gone AS (
             DELETE FROM events.log WHERE stream = $1 AND seq < $2::int + (
               SELECT seq FROM events.log WHERE stream = $1 ORDER BY seq LIMIT 1)
             RETURNING 1)
           SELECT count(*)::int AS forgotten FROM gone`,
    values: [stream, FORGET_EVENTS],
  });
  return forgotten === FORGET_EVENTS;
}

/** Streams that one statement looks at for old events: it holds their locks meanwhile. */
const LOOK_STREAMS = 200;

/**
 * Forgets old events of some streams, in a batch. A stream's events go in the order of seq, not of time, so that no hole
 * remains between the kept ones. Its last event stays, whatever its age: readers are anchored at it. Streams that another
 * write holds are left to a later call. Plan: streams_oldest_idx, and the primary key of events.log.
 * @param before ISO 8601
 * @returns whether there may be more
 */
export async function forgetOldEvents(db: Queryable, before: string): Promise<boolean> {
  const [{ looked } = { looked: 0 }] = await db.query<{ looked: number }>({
    name: "events-forget-old",
    slow: "bounded",
    text: `WITH due AS (
             SELECT name, head FROM events.streams WHERE oldest_at < $1 ORDER BY oldest_at LIMIT $2
             FOR NO KEY UPDATE SKIP LOCKED),
           old AS (
             SELECT due.name, due.head, first.seq,
                    CASE WHEN first.time >= $1 THEN first.seq
                         ELSE least(due.head, coalesce(young.seq, first.seq + $3)) END AS cut
             FROM due
             LEFT JOIN LATERAL (
               SELECT seq, time FROM events.log WHERE stream = due.name ORDER BY seq LIMIT 1) first ON true
             LEFT JOIN LATERAL (
               SELECT seq FROM (SELECT seq, time FROM events.log WHERE stream = due.name ORDER BY seq LIMIT $3) e
               WHERE first.time < $1 AND time >= $1 ORDER BY seq LIMIT 1) young ON true),
           batch AS (
             SELECT name, head, cut FROM (
               SELECT name, head, cut, sum(coalesce(cut - seq, 0)) OVER (ORDER BY name) AS events FROM old) o
             WHERE events <= $3),
           gone AS (
             DELETE FROM events.log l USING batch b WHERE l.stream = b.name AND l.seq < b.cut),
           looked AS (
             UPDATE events.streams s SET oldest_at = CASE WHEN kept.seq < b.head THEN kept.time ELSE 'infinity' END
             FROM batch b LEFT JOIN LATERAL (
               SELECT seq, time FROM events.log WHERE stream = b.name AND seq >= b.cut ORDER BY seq LIMIT 1) kept ON true
             WHERE s.name = b.name RETURNING 1)
           SELECT count(*)::int AS looked FROM looked`,
    values: [before, LOOK_STREAMS, FORGET_EVENTS],
  });
  return looked > 0;
}

/** Streams of which nobody has looked how old they are, at most, of which one statement finds that out. */
const UNKNOWN_STREAMS = 1000;

/**
 * The time of the oldest event that the retention will forget; null for none. The last event of a stream stays, so it does
 * not count. Plan: streams_oldest_idx, and the primary key of events.log.
 */
export async function oldestToForget(db: Queryable): Promise<string | null> {
  const [found] = await db.query<{ oldest: string | null }>({
    name: "events-oldest",
    slow: "bounded",
    text: `SELECT least(
             (SELECT nullif(oldest_at, 'infinity') FROM events.streams
              WHERE oldest_at > '-infinity' ORDER BY oldest_at LIMIT 1),
             (SELECT min(first.time) FROM (
                SELECT name, head FROM events.streams WHERE oldest_at = '-infinity' LIMIT $1) s
              CROSS JOIN LATERAL (
                SELECT seq, time FROM events.log WHERE stream = s.name ORDER BY seq LIMIT 1) first
              WHERE first.seq < s.head)) AS oldest`,
    values: [UNKNOWN_STREAMS],
  });
  return found?.oldest ?? null;
}

/** Forgets a stream with its last few events: its project was removed for good. */
export async function forgetStream(db: Queryable, stream: string): Promise<void> {
  await forgetEvents(db, stream);
  await db.query({ text: "DELETE FROM events.streams WHERE name = $1", values: [stream] });
}
