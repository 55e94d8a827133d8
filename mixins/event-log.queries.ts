/** The reads of the log of events. Each says the plan that it expects. */
import { Problem } from "../core/errors.ts";
import { cursorOf, type EventPage, type LoggedEvent, type Position } from "../core/events.ts";
import type { Queryable } from "./database.ts";

const EVENT = "id, stream, seq, type, time, actor_id, request_id, traceparent, data";

/** An event as a row has it: with null where the event itself has no traceparent. */
type EventRow = Omit<LoggedEvent, "traceparent"> & { traceparent: string | null };

const eventOf = (row: EventRow): LoggedEvent => ({ ...row, traceparent: row.traceparent ?? undefined });

export interface StreamHead {
  name: string;
  /** The `seq` of the stream's last event. */
  head: number;
  /** The `id` of that event; null where it was forgotten. */
  last_id: string | null;
  /** Moves with each event that changes who may see or do what. */
  members_version: number;
}

/** The heads of those streams of `names` that have an event. Plan: primary key of events.streams. */
export function readHeads(db: Queryable, names: string[]): Promise<StreamHead[]> {
  return db.query({
    name: "events-heads",
    text: "SELECT name, head, last_id, members_version FROM events.streams WHERE name = ANY ($1::text[])",
    values: [names],
  });
}

/** What a reader knows of streams, as Postgres' text of four arrays. */
export type Known = readonly [names: string, heads: string, ids: string, versions: string];

/**
 * What a reader knows of streams as text. Names, numbers and ids need no quotes, and pg would look for them in each of some
 * thousand elements.
 * @param streams a stream without an event is at 0
 */
export function knownOf(streams: readonly { name: string; at: Position; version: number }[]): Known {
  const text = (of: (one: (typeof streams)[number]) => string | number): string =>
    `{${streams.map(of).join()}}`;
  return [
    text(({ name }) => name),
    text(({ at }) => at.seq),
    text(({ at }) => at.id ?? "NULL"),
    text(({ version }) => version),
  ];
}

/**
 * What a statement sees of Postgres, and the oldest session of its user: null at a standby, whose snapshots leave out what is
 * under way there.
 */
interface Sight {
  session: string | null;
  snapshot: string;
}
const SIGHT = `CASE WHEN NOT pg_is_in_recovery() THEN (
      SELECT pid || ' ' || backend_start FROM pg_stat_get_activity(NULL)
      WHERE usesysid = quote_ident(current_user)::regrole ORDER BY backend_start, pid LIMIT 1) END AS session,
    pg_current_snapshot()::text AS snapshot`;

/**
 * A moment of the database: two statements with the same one see the same rows. A snapshot names the transactions that are
 * over, so within one life of a server it moves with each commit, and never comes again. A crash, a failover and a restore
 * may count transactions anew, and no session outlives any of them. Null is like no other moment, itself included.
 */
export type Moment = string | null;
const momentOf = ({ session, snapshot }: Sight): Moment =>
  session === null ? null : `${session} ${snapshot}`;

/** The present moment. */
export async function readMoment(db: Queryable): Promise<Moment> {
  const [sight] = await db.query<Sight>({ name: "events-moment", text: `SELECT ${SIGHT}` });
  return sight === undefined ? null : momentOf(sight);
}

/**
 * The heads of those streams that are elsewhere than a reader knows. Most are where they were, so the names travel and one row
 * comes back, with the moment that all of this is of. Plan: primary key of events.streams, for each name.
 */
export async function readMoved(
  db: Queryable,
  known: Known,
): Promise<{ moment: Moment; moved: StreamHead[] }> {
  const rows = await db.query<Sight & (StreamHead | { name: null })>({
    name: "events-moved",
    text: `SELECT sight.session, sight.snapshot, moved.* FROM (SELECT ${SIGHT}) sight LEFT JOIN (
             SELECT known.name, coalesce(s.head, 0) AS head, s.last_id, coalesce(s.members_version, 0) AS members_version
             FROM unnest($1::text[], $2::bigint[], $3::uuid[], $4::bigint[])
               AS known (name, head, last_id, members_version)
             LEFT JOIN events.streams s ON s.name = known.name
             WHERE coalesce(s.head, 0) <> known.head OR s.last_id IS DISTINCT FROM known.last_id
               OR coalesce(s.members_version, 0) <> known.members_version) moved ON true`,
    values: [...known],
  });
  const [sight] = rows;
  return {
    moment: sight === undefined ? null : momentOf(sight),
    moved: rows.flatMap((row) => (row.name === null ? [] : [row])),
  };
}

/** A part of one stream's log: what follows a reader's position, up to a number. */
export interface Span {
  stream: string;
  after: Position;
  upTo: number;
}

/**
 * The events that follow a position, out of those from the position on. A number alone does not say which history it
 * counts, so the event at the position has to be the reader's own (as a follower in Raft compares the previous entry).
 * @returns null where the log does not go on from there: another history, or one that was cut off behind the reader
 */
function following({ seq, id }: Position, events: LoggedEvent[]): LoggedEvent[] | null {
  const [first, ...rest] = events;
  if (seq > 0 && first?.seq === seq) return id === null || first.id === id ? rest : null;
  // A reader without an id needs no more than that nothing is missing.
  if (first === undefined) return seq === 0 ? [] : null;
  return id === null && first.seq === seq + 1 ? events : null;
}

/**
 * The first `limit` events of a span, in order. Plan: primary key of events.log.
 * @returns null where the log does not go on from the position
 */
export async function readLog(
  db: Queryable,
  { stream, after, upTo, limit }: Span & { limit: number },
): Promise<LoggedEvent[] | null> {
  const rows = await db.query<EventRow>({
    name: "events-read",
    text: `SELECT ${EVENT} FROM events.log
           WHERE stream = $1 AND seq >= $2 AND seq <= $3 ORDER BY seq LIMIT $4`,
    values: [stream, after.seq, upTo, limit + 1],
  });
  return following(after, rows.map(eventOf))?.slice(0, limit) ?? null;
}

/** Bytes of events in one read of many spans, about. */
const MANY_BYTES = 1_000_000;

/**
 * The first events of many spans, in order: at most `limit` of each span. Once MANY_BYTES are reached, the spans that
 * follow come short. Plan: primary key of events.log.
 * @returns for each span; null where the log does not go on from the position; undefined where nothing was read
 */
export async function readLogs(
  db: Queryable,
  spans: Span[],
  limit: number,
): Promise<(LoggedEvent[] | null | undefined)[]> {
  const rows = await db.query<EventRow & { nth: number }>({
    name: "events-read-many",
    text: `SELECT nth, ${EVENT} FROM (
             SELECT e.*, span.nth, sum(octet_length(e.data::text)) OVER (ORDER BY span.nth, e.seq) AS bytes
             FROM unnest($1::text[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS span (name, after, up_to, nth)
             CROSS JOIN LATERAL (
               SELECT * FROM events.log WHERE stream = span.name AND seq >= span.after AND seq <= span.up_to
               ORDER BY seq LIMIT $4) e) page
           WHERE bytes <= $5 ORDER BY nth, seq`,
    values: [
      spans.map(({ stream }) => stream),
      spans.map(({ after }) => after.seq),
      spans.map(({ upTo }) => upTo),
      limit + 1,
      MANY_BYTES,
    ],
  });
  const read = Map.groupBy(rows, ({ nth }) => nth);
  return spans.map(({ after }, at) => {
    const own = read.get(at + 1);
    if (own === undefined) return undefined;
    const events = following(
      after,
      own.map(({ nth: _, ...row }) => eventOf(row)),
    );
    return events?.length === 0 ? undefined : (events?.slice(0, limit) ?? null);
  });
}

/** Bytes of events in an answer, about. NATS takes 8 MB here, and an event has some 200 kB at the most. */
export const ANSWER_BYTES = 4_000_000;

/**
 * The first events after a position for an answer: at most `limit`, as many as fit into ANSWER_BYTES, and at least one. A
 * page is megabytes, so the read goes by the slow connections. Plan: primary key of events.log.
 * @returns null where the position has an id and the log no such event; a number alone goes on from the first event kept
 */
export async function readLogPage(
  db: Queryable,
  { stream, after, upTo, limit, caller }: Span & { limit: number; caller: string },
): Promise<LoggedEvent[] | null> {
  const isAnchored = after.id !== null;
  const rows = await db.query<EventRow>({
    name: "events-page",
    slow: "bounded",
    by: caller,
    text: `SELECT ${EVENT} FROM (
             SELECT *, sum(size) OVER (ORDER BY seq) AS bytes FROM (
               SELECT *, octet_length(data::text) AS size FROM events.log
               WHERE stream = $1 AND seq > $2 AND seq <= $3 ORDER BY seq LIMIT $4) first) page
           WHERE bytes <= $5 OR bytes = size OR seq <= $6 ORDER BY seq`,
    // The event at the position, and the one after it, come whatever their size.
    values: isAnchored
      ? [stream, after.seq - 1, upTo, limit + 1, ANSWER_BYTES, after.seq + 1]
      : [stream, after.seq, upTo, limit, ANSWER_BYTES, 0],
  });
  const events = rows.map(eventOf);
  return isAnchored ? following(after, events) : events;
}

/**
 * A page of a stream's log, with the stream's head and the cursor to go on from.
 * @throws Problem log-rewritten
 */
export async function logPage(
  db: Queryable,
  { stream, after, limit, caller }: { stream: string; after: Position; limit: number; caller: string },
): Promise<EventPage> {
  const [{ head = 0 } = {}] = await readHeads(db, [stream]);
  const items = await readLogPage(db, { stream, after, upTo: head, limit, caller });
  if (items === null) throw new Problem("log-rewritten");
  return { items, limit, head, next: cursorOf(items.at(-1) ?? after) };
}
