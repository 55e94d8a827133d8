/**
 * The one way to write the log of events. A write commits its rows and its events in one statement.
 *
 * Each stream (`project:<id>`, `user:<id>`) numbers its events 1, 2, 3 …. A write takes the number under the lock of the
 * stream's row and holds that lock until it commits. So number order is commit order, and a write that is rolled back
 * leaves no hole. `nextval` would do neither.
 */
import type { ServiceBroker } from "moleculer";
import type { Part } from "../core/cached-answer.ts";
import type { CommittedEvent, EventDeclaration, LoggedEvent } from "../core/events.ts";
import { newId } from "../core/ids.ts";
import { type ActionContext, type Actor, broadcast, type Conditions, hint, isHeard } from "../core/kit.ts";
import type { Queryable } from "./database.ts";
import { type RememberedResponse, responseParameter, rememberResponse } from "./idempotency.ts";

/** An event before its commit, which gives it its number. */
export interface NewEvent extends Omit<LoggedEvent, "seq"> {
  /** Whether it moves the stream's `members_version`. The log does not keep it. */
  movesAccess: boolean;
  /** The names of the cached answers that it outdates. The log does not keep them. */
  outdates: string[];
}

export interface Cause {
  /** Null for a job, which no user asked for. */
  actor: Pick<Actor, "id"> | null;
  requestId: string | null;
  /** The trace that the request belongs to; absent when the request names none. */
  traceparent?: string;
  time: string;
}

/** The cause of what a user's own request writes. */
export interface WriteContext extends Cause {
  actor: Actor;
  conditions: Conditions;
}

export const projectStream = (id: string): string => `project:${id}`;
export const userStream = (id: string): string => `user:${id}`;

/** An event of a declaration, for `commit`. */
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
  traceparent: cause.traceparent,
  data,
  movesAccess: declaration.movesAccess(data),
  outdates: declaration.outdates(data, stream),
});

export const writeContext = (ctx: ActionContext<unknown, Actor>): WriteContext => ({
  actor: ctx.locals.actor,
  conditions: ctx.locals.conditions,
  requestId: ctx.requestID,
  traceparent: ctx.meta.traceparent,
  time: new Date().toISOString(),
});

/**
 * The hint that follows a commit. It may be lost: notifiers read the same events from the log. The events are a text, which
 * no notifier parses whose sockets follow none of the streams.
 */
export interface CommittedHint {
  /** The text of `CommittedEvent[]`. */
  readonly $json: string;
  readonly streams: readonly string[];
  /** The id of the first event. */
  readonly first: string;
}

export const committed = hint<CommittedHint>("events.committed");

/** The events that a hint carries. */
export const eventsOf = ({ $json }: Pick<CommittedHint, "$json">): CommittedEvent[] =>
  JSON.parse($json) as CommittedEvent[];

/** Bytes of events in one hint, about. NATS takes a megabyte. */
const HINT_BYTES = 400_000;

/**
 * Hands committed events to the notifiers that listen, in several hints if they are long. An event too long for one is read
 * from the log.
 */
export function emitCommitted(broker: ServiceBroker, events: CommittedEvent[]): void {
  if (!isHeard(broker, committed)) return;
  let texts: string[] = [];
  let [streams, first] = [new Set<string>(), ""];
  let size = 0;
  const send = (): void => {
    if (texts.length > 0)
      broadcast(broker, committed, { $json: `[${texts.join(",")}]`, streams: [...streams], first });
    [texts, streams, size] = [[], new Set(), 0];
  };
  for (const event of events) {
    const text = JSON.stringify(event);
    const length = Buffer.byteLength(text);
    if (size + length > HINT_BYTES) send();
    if (texts.push(text) === 1) first = event.id;
    streams.add(event.stream);
    size += length;
  }
  send();
}

/** The SQL of a write: for one event, as most writes have it, and for any number. */
export interface LoggedSql {
  readonly one: string;
  readonly many: string;
}

/** A statement whose SQL is made by `withEvents`, for `commit`. */
export interface LoggedStatement {
  name: string;
  text: LoggedSql;
  /** Of the parameters that `row` uses. */
  values?: unknown[];
  /** What a name that the events outdate shows after the write (mixins/cache.ts). */
  shows?: Part;
}

/** What becomes of a stream's row that is there. @param guard SQL of the `members_version` that it must have, or of null */
const continued = (guard: string): string => `
  ON CONFLICT (name) DO UPDATE
    SET head = s.head + excluded.head, members_version = s.members_version + excluded.members_version,
        last_id = excluded.last_id, previous_id = s.last_id,
        -- What was the last event, and stays for that, may be forgotten now.
        oldest_at = CASE s.oldest_at WHEN 'infinity' THEN '-infinity' ELSE s.oldest_at END
    WHERE s.members_version = coalesce(${guard}, s.members_version)
  RETURNING s.name, s.head, s.previous_id`;

const LOG = "INSERT INTO events.log (stream, id, type, time, actor_id, request_id, traceparent, data, seq)";

/** Parameters of one event. */
const EVENT_TYPES = [
  "text",
  "uuid",
  "text",
  "timestamptz",
  "uuid",
  "text",
  "text",
  "json",
  "bigint",
  "bigint",
];

/** The values of `EVENT_TYPES`. */
function eventParameters(event: NewEvent, guards: Guards): unknown[] {
  const { stream, id, type, time, actor_id, request_id, traceparent, data, movesAccess } = event;
  const said = [stream, id, type, time, actor_id, request_id, traceparent, JSON.stringify(data)];
  return [...said, movesAccess ? 1 : 0, guards[stream] ?? null];
}

function withEvent(row: string, next: number): string {
  const parameters = EVENT_TYPES.map((type, n) => `$${next + n}::${type}`);
  const [stream, id] = parameters;
  const [access, guard = ""] = parameters.slice(-2);
  return `
WITH ${row},
head AS (
  INSERT INTO events.streams AS s (name, head, members_version, last_id)
  SELECT ${stream}, 1, ${access}, ${id} WHERE EXISTS (SELECT FROM row) ${continued(guard)}
),
${rememberResponse(next + EVENT_TYPES.length)},
logged AS (
  -- A stream whose guard failed has no head: its null number fails the whole statement.
  ${LOG}
  SELECT ${parameters.slice(0, -2).join(", ")}, (SELECT head FROM head) WHERE EXISTS (SELECT FROM row)
  RETURNING seq, id
)
SELECT l.seq, l.id, h.previous_id FROM logged l, head h`;
}

/**
 * One statement that writes rows. If `row` returns something, it also appends events, and remembers the answer under the
 * request's idempotency key.
 * @param row `name AS (…)` parts of a WITH clause, of which one is `row AS (… RETURNING …)`
 * @param next number of the first parameter that `row` does not use: `commit` fills it and those after it
 * @returns SQL that returns `seq, id` of each appended event, and the id of its stream's last event before them; nothing
 *   when `row` is empty
 *
 * Each write locks its rows first, then its streams in name order, so two writes never wait for each other in a circle.
 */
export const withEvents = (row: string, next: number): LoggedSql => ({
  one: withEvent(row, next),
  many: `
WITH ${row},
input AS (
  SELECT e.*, row_number() OVER w AS nth, count(*) OVER (PARTITION BY e.stream) AS of
  FROM json_to_recordset($${next}::json) AS e (
    ord int, id uuid, stream text, type text, time timestamptz, actor_id uuid, request_id text, traceparent text, data json,
    access int, guard bigint
  )
  WHERE EXISTS (SELECT FROM row)
  WINDOW w AS (PARTITION BY e.stream ORDER BY e.ord)
),
heads AS (
  INSERT INTO events.streams AS s (name, head, members_version, last_id)
  SELECT stream, count(*), sum(access), (array_agg(id ORDER BY ord DESC))[1] FROM input GROUP BY stream ORDER BY stream
  ${continued("(SELECT max(guard) FROM input WHERE stream = s.name)")}
),
${rememberResponse(next + 1)},
logged AS (
  ${LOG}
  SELECT i.stream, i.id, i.type, i.time, i.actor_id, i.request_id, i.traceparent, i.data, h.head - i.of + i.nth
  -- A stream whose guard failed has no head: its null number fails the whole statement.
  FROM input i LEFT JOIN heads h ON h.name = i.stream
  RETURNING stream, seq, id
)
SELECT l.seq, l.id, h.previous_id FROM logged l JOIN heads h ON h.name = l.stream`,
});

const eventsParameter = (events: NewEvent[], guards: Guards): string =>
  JSON.stringify(
    events.map(({ movesAccess, outdates: _outdates, ...event }, ord) => ({
      ...event,
      ord,
      access: movesAccess ? 1 : 0,
      guard: guards[event.stream] ?? null,
    })),
  );

/**
 * The `members_version` of each stream when the write was allowed. The write fails if it has moved, under the lock that
 * numbers the stream's events. So no event that a member caused follows the event of their removal.
 */
export type Guards = Record<string, number>;

const guardFailed = (error: unknown): boolean => {
  const { code, table, column } = error as { code?: string; table?: string; column?: string };
  return code === "23502" && table === "log" && column === "seq";
};

/**
 * Runs a statement made by `withEvents`.
 * @param answer the request's answer, to be remembered under its key
 * @returns the events with their numbers, in the order given; null when the write's condition or a guard failed: nothing
 *   was written, and a transaction around it must be rolled back
 */
export async function commit(
  db: Queryable,
  { name, text, values = [], shows }: LoggedStatement,
  events: NewEvent[],
  answer?: RememberedResponse,
  guards: Guards = {},
): Promise<CommittedEvent[] | null> {
  const [first] = events;
  if (first === undefined) throw new Error("a write without an event needs no event log");
  const isOne = events.length === 1;
  const parameters = isOne ? eventParameters(first, guards) : [eventsParameter(events, guards)];
  try {
    const rows = await db.query<{ id: string; seq: number; previous_id: string | null }>({
      name: isOne ? name : `${name}-many`,
      text: isOne ? text.one : text.many,
      write: true,
      outdates: events.flatMap(({ outdates }) => outdates),
      ...(shows !== undefined && { shows }),
      values: [...values, ...parameters, responseParameter(answer)],
    });
    if (rows.length === 0) return null;
    const numbered = new Map(rows.map((row) => [row.id, row]));
    const lastOf = new Map<string, string>();
    return events.map(({ movesAccess: _moves, outdates: _outdates, id, stream, ...rest }) => {
      const { seq, previous_id } = numbered.get(id) as (typeof rows)[number];
      const previous = lastOf.get(stream) ?? previous_id;
      lastOf.set(stream, id);
      return { id, stream, seq, ...rest, previous_id: previous };
    });
  } catch (error) {
    if (guardFailed(error)) return null;
    throw error;
  }
}
