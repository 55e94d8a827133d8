/**
 * The log of events: the one way to write it, and the one way to read it.
 *
 * A write commits its rows and its events in one statement. Each stream (`project:<id>`, `user:<id>`) numbers its
 * events 1, 2, 3 …; the number is taken under the lock of the stream's row, which is held until the commit, so
 * number order is commit order, and a write that is rolled back leaves no hole. `nextval` would do neither.
 */
import type { ServiceBroker } from "moleculer";
import type { EventDeclaration, LoggedEvent } from "../core/events.ts";
import { newId } from "../core/ids.ts";
import { type ActionContext, type Actor, type Conditions, emit, hint } from "../core/kit.ts";
import type { Queryable, Statement } from "./database.ts";
import { type RememberedResponse, responseParameter, rememberResponse } from "./idempotency.ts";

/** An event that is about to be committed: it gets its number from the database. */
export interface NewEvent extends Omit<LoggedEvent, "seq"> {
  /** Whether it moves the stream's `members_version`; not part of the event. */
  movesAccess: boolean;
}

/** Who did it, in which request, and when; nobody, where time itself did it. */
export interface Cause {
  actor: Pick<Actor, "id"> | null;
  requestId: string | null;
  time: string;
}

/** What somebody's own request causes. */
export interface WriteContext extends Cause {
  actor: Actor;
  conditions: Conditions;
}

export const projectStream = (id: string): string => `project:${id}`;
export const userStream = (id: string): string => `user:${id}`;

/** A declared event, to be committed to a stream. */
export const newEvent = <Data extends object>(
  stream: string,
  declaration: EventDeclaration<string, Data>,
  data: Data,
  cause: Cause,
): NewEvent => ({
  id: newId(),
  stream,
  type: declaration.type,
  time: cause.time,
  actor_id: cause.actor?.id ?? null,
  request_id: cause.requestId,
  data,
  movesAccess: declaration.movesAccess(data),
});

/** The cause of what a request writes. */
export const writeContext = (ctx: ActionContext<unknown, Actor>): WriteContext => ({
  actor: ctx.locals.actor,
  conditions: ctx.locals.conditions,
  requestId: ctx.requestID,
  time: new Date().toISOString(),
});

/** Sent after the commit. It may be lost: the log holds the same events, and notifiers look there too. */
export const committed = hint<{ events: LoggedEvent[] }>("events.committed");

/** Bytes of events, about, that one hint carries: a broker takes a megabyte. */
const HINT_BYTES = 400_000;

/** Tells the notifiers what was committed, in pieces where it is much. What is too long for one they read from the log. */
export function emitCommitted(broker: ServiceBroker, events: LoggedEvent[]): void {
  let piece: LoggedEvent[] = [];
  let size = 0;
  for (const event of events) {
    const length = Buffer.byteLength(JSON.stringify(event.data));
    if (size + length > HINT_BYTES && piece.length > 0) {
      emit(broker, committed, { events: piece });
      [piece, size] = [[], 0];
    }
    piece.push(event);
    size += length;
  }
  if (piece.length > 0) emit(broker, committed, { events: piece });
}

/**
 * One statement that writes rows and, if and only if `row` returned something, appends events and remembers the answer
 * under the request's idempotency key.
 * @param row `name AS (…)` parts of a WITH clause, of which one is `row AS (… RETURNING …)`
 * @param next number of the first parameter that `row` does not use: `commit` fills it and the one after it
 * @returns SQL that returns `stream, seq, id` of each appended event; nothing when `row` is empty
 *
 * Streams are locked in name order, after the rows, whoever writes: two writes never wait for each other in a circle.
 */
export function withEvents(row: string, next: number): string {
  return `
WITH ${row},
input AS (
  SELECT e.*, row_number() OVER w AS nth, count(*) OVER (PARTITION BY e.stream) AS of
  FROM json_to_recordset($${next}::json) AS e (
    ord int, id uuid, stream text, type text, time timestamptz, actor_id uuid, request_id text, data json,
    access int, guard bigint
  )
  WHERE EXISTS (SELECT FROM row)
  WINDOW w AS (PARTITION BY e.stream ORDER BY e.ord)
),
heads AS (
  INSERT INTO events.streams AS s (name, head, members_version)
  SELECT stream, count(*), sum(access) FROM input GROUP BY stream ORDER BY stream
  ON CONFLICT (name) DO UPDATE
    SET head = s.head + excluded.head, members_version = s.members_version + excluded.members_version
    WHERE s.members_version = coalesce((SELECT max(guard) FROM input WHERE stream = s.name), s.members_version)
  RETURNING s.name, s.head
),
${rememberResponse(next + 1)}
INSERT INTO events.log (stream, seq, id, type, time, actor_id, request_id, data)
SELECT i.stream, h.head - i.of + i.nth, i.id, i.type, i.time, i.actor_id, i.request_id, i.data
-- A stream whose guard failed has no head: the number is null, which fails the statement as a whole.
FROM input i LEFT JOIN heads h ON h.name = i.stream
RETURNING stream, seq, id`;
}

const eventsParameter = (events: NewEvent[], guards: Guards): string =>
  JSON.stringify(
    events.map(({ movesAccess, ...event }, ord) => ({
      ...event,
      ord,
      access: movesAccess ? 1 : 0,
      guard: guards[event.stream] ?? null,
    })),
  );

/**
 * The `members_version` that a stream had when it was decided who may do this: the write happens only if it has it still,
 * under the lock that numbers its events. So nothing that was allowed to a member follows their removal in the stream.
 */
export type Guards = Record<string, number>;

const guardFailed = (error: unknown): boolean => {
  const { code, table, column } = error as { code?: string; table?: string; column?: string };
  return code === "23502" && table === "log" && column === "seq";
};

/**
 * Runs a statement made by `withEvents`.
 * @param answer what the request answers, to be remembered under its key
 * @returns the events with their numbers, in the order given; null when the write's condition or a guard failed: nothing
 *   happened, and a transaction around it can only be rolled back
 */
export async function commit(
  db: Queryable,
  { values = [], ...statement }: Statement,
  events: NewEvent[],
  answer?: RememberedResponse,
  guards: Guards = {},
): Promise<LoggedEvent[] | null> {
  if (events.length === 0) throw new Error("a write without an event needs no event log");
  try {
    const rows = await db.query<{ id: string; seq: number }>({
      ...statement,
      write: true,
      values: [...values, eventsParameter(events, guards), responseParameter(answer)],
    });
    if (rows.length === 0) return null;
    const seqs = new Map(rows.map(({ id, seq }) => [id, seq]));
    return events.map(({ movesAccess: _moves, id, stream, ...rest }) => ({
      id,
      stream,
      seq: seqs.get(id) as number,
      ...rest,
    }));
  } catch (error) {
    if (guardFailed(error)) return null;
    throw error;
  }
}

export interface StreamHead {
  name: string;
  head: number;
  members_version: number;
}

/** The heads of those of `names` that have an event. Plan: primary key of events.streams. */
export function readHeads(db: Queryable, names: string[]): Promise<StreamHead[]> {
  return db.query({
    name: "events-heads",
    text: "SELECT name, head, members_version FROM events.streams WHERE name = ANY ($1::text[])",
    values: [names],
  });
}

/** Events `after` < seq ≤ `upTo` of one stream, in order, at most `limit`. Plan: primary key of events.log. */
export function readLog(
  db: Queryable,
  { stream, after, upTo, limit }: { stream: string; after: number; upTo: number; limit: number },
): Promise<LoggedEvent[]> {
  return db.query({
    name: "events-read",
    text: `SELECT id, stream, seq, type, time, actor_id, request_id, data FROM events.log
           WHERE stream = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4`,
    values: [stream, after, upTo, limit],
  });
}

/** A part of one stream's log. */
export interface Span {
  stream: string;
  after: number;
  upTo: number;
}

/** Bytes of events, about, that one read of many spans brings. */
const MANY_BYTES = 1_000_000;

/**
 * The first events of many spans, at most `limit` of each, in each stream's order, and of them all as many as fit into
 * MANY_BYTES: a span may have fewer than there are, or none. Plan: primary key of events.log.
 */
export async function readLogs(
  db: Queryable,
  spans: Span[],
  limit: number,
): Promise<Map<string, LoggedEvent[]>> {
  const events = await db.query<LoggedEvent>({
    name: "events-read-many",
    text: `SELECT id, stream, seq, type, time, actor_id, request_id, data FROM (
             SELECT e.*, sum(octet_length(e.data::text)) OVER (ORDER BY span.nth, e.seq) AS bytes
             FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS span (name, after, up_to, nth)
             CROSS JOIN LATERAL (
               SELECT * FROM events.log WHERE stream = span.name AND seq > span.after AND seq <= span.up_to
               ORDER BY seq LIMIT $4) e) page
           WHERE bytes <= $5 ORDER BY stream, seq`,
    values: [
      spans.map(({ stream }) => stream),
      spans.map(({ after }) => after),
      spans.map(({ upTo }) => upTo),
      limit,
      MANY_BYTES,
    ],
  });
  return Map.groupBy(events, ({ stream }) => stream);
}

/** Bytes of events, about, that a page of the log may have: a broker takes 8 MB, and an event has some 200 kB at the most. */
const PAGE_BYTES = 4_000_000;

/**
 * The same for an answer, for a caller: as many as fit into PAGE_BYTES, and one at least. The data is megabytes, so it
 * goes by the slow connections.
 */
export async function readLogPage(
  db: Queryable,
  { stream, after, upTo, limit, caller }: Parameters<typeof readLog>[1] & { caller: string },
): Promise<LoggedEvent[]> {
  return db.query({
    name: "events-page",
    slow: "bounded",
    by: caller,
    text: `SELECT id, stream, seq, type, time, actor_id, request_id, data FROM (
             SELECT *, sum(size) OVER (ORDER BY seq) AS bytes FROM (
               SELECT *, octet_length(data::text) AS size FROM events.log
               WHERE stream = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4) first) page
           WHERE bytes <= $5 OR bytes = size ORDER BY seq`,
    values: [stream, after, upTo, limit, PAGE_BYTES],
  });
}

interface Thing {
  kind: "task" | "comment";
  id: string;
}

/** As log_thing_idx has it (migrations/0018). */
const THING = "coalesce(data -> 'task' ->> 'id', data -> 'comment' ->> 'id')";

/** The last that the log tells of a task or a comment; null for nothing. Plan: log_thing_idx. */
export async function findInLog(db: Queryable, { kind, id }: Thing): Promise<object | null> {
  const [found] = await db.query<{ thing: object }>({
    name: "events-find-thing",
    text: `SELECT data -> $2 AS thing FROM events.log WHERE ${THING} = $1 ORDER BY time DESC, seq DESC LIMIT 1`,
    values: [id, kind],
  });
  return found?.thing ?? null;
}

/** Events that are rewritten at once. */
const REDACTED_AT_ONCE = 1000;

/**
 * The one change that the log knows: texts of a task or a comment become null in all its events, of whatever stream, and
 * in their `changes`. Plan: log_thing_idx.
 * @param texts the fields, with what they say where they were redacted before
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
      values: [id, kind, JSON.stringify(texts), REDACTED_AT_ONCE],
    });
    cleared += n;
    if (n < REDACTED_AT_ONCE) return cleared;
  }
}

/** Events that are forgotten at once. */
const BATCH = 5000;

/** Forgets a batch of the events of a stream that nobody can read any more. @returns whether there may be more */
export async function forgetEvents(db: Queryable, stream: string): Promise<boolean> {
  const rows = await db.query({
    name: "events-forget",
    slow: "bounded",
    text: `WITH gone AS (
             DELETE FROM events.log WHERE stream = $1 AND seq IN (
               SELECT seq FROM events.log WHERE stream = $1 ORDER BY seq LIMIT $2)
             RETURNING 1)
           SELECT 1 FROM gone`,
    values: [stream, BATCH],
  });
  return rows.length === BATCH;
}

/** Forgets a stream whose events are forgotten, but for a last few: what it is about was removed for good. */
export async function forgetStream(db: Queryable, stream: string): Promise<void> {
  await forgetEvents(db, stream);
  await db.query({ text: "DELETE FROM events.streams WHERE name = $1", values: [stream] });
}
