/**
 * Domain events: what the streams carry. The service that owns an event declares it in its contract:
 *
 *     export const taskEvents = declareEvents({
 *       task_created: event<{ task: EventTask }>("A task was created."),
 *     });
 *
 * Its commands build events from the declaration (`newEvent(stream, taskEvents.task_created, { task }, cause)`), readers
 * ask `isEvent(event, taskEvents.task_created)` and get the type of its data. services/events.ts lists all of them.
 */
import type { Schema } from "./json-schema.ts";

/** An event as the log keeps it and clients get it (docs/reference.md, Events). */
export interface LoggedEvent<Type extends string = string, Data extends object = object> {
  id: string;
  stream: string;
  seq: number;
  type: Type;
  time: string;
  actor_id: string | null;
  request_id: string | null;
  /** Of the request that caused the event; absent when the request had none. */
  traceparent?: string;
  data: Data;
}

/** An event with the id of the event before it in its stream. The writer knows that id; clients don't get it. */
export interface CommittedEvent extends LoggedEvent {
  /** Null for a stream's first event. */
  previous_id: string | null;
}

/** A place in a stream: the last event that a reader has. */
export interface Position {
  /** 0 stands before the first event. */
  seq: number;
  /** The id of event `seq`; null at 0, and for a reader that knows the number alone. */
  id: string | null;
}

/** A page of a stream's log, oldest event first. */
export interface EventPage {
  items: LoggedEvent[];
  limit: number;
  /** The `seq` of the stream's last event: more can be read while the last item's is smaller. */
  head: number;
  /** The cursor to go on from. */
  next: string;
}

/** A stream, and the cursor to begin after; without one at the present position. */
export interface StreamStart {
  stream: string;
  after?: string;
}

/** A position as text, `41-<id>`, or `41` without an id: `?after=`, `Last-Event-ID` and the cursors of a sync. */
export const cursorOf = ({ seq, id }: Position): string => (id === null ? `${seq}` : `${seq}-${id}`);

/** The position that a cursor names, which matches the pattern of `rules.cursor`. */
export function positionOf(cursor: string): Position {
  const [seq = "", ...id] = cursor.split("-");
  const position = { seq: Number(seq), id: id.length === 0 ? null : id.join("-").toLowerCase() };
  return position.seq === 0 ? { seq: 0, id: null } : position;
}

interface EventBody<Data extends object> {
  /** The API's documents show it. */
  readonly summary: string;
  /** Whether an event with this data changes who may see or do what in its stream's project. */
  movesAccess(data: Data): boolean;
  /** The names (mixins/cache.ts) of the cached answers that show something else after it. */
  outdates(data: Data, stream: string): string[];
}

export interface EventDeclaration<
  Type extends string = string,
  Data extends object = never,
> extends EventBody<Data> {
  readonly type: Type;
}

/**
 * The body of one declaration.
 * @param outdates see EventBody
 * @param movesAccess always, never, or by the event's data
 */
export const event = <Data extends object>(
  summary: string,
  outdates: EventBody<Data>["outdates"],
  { movesAccess = false }: { movesAccess?: boolean | ((data: Data) => boolean) } = {},
): EventBody<Data> => ({
  summary,
  outdates,
  movesAccess: typeof movesAccess === "function" ? movesAccess : () => movesAccess,
});

type Declared<Bodies> = {
  readonly [Type in keyof Bodies & string]: Bodies[Type] extends EventBody<infer Data>
    ? EventDeclaration<Type, Data>
    : never;
};

/** Declares the events of a service; each key is an event's type on the wire. */
export const declareEvents = <Bodies extends Record<string, EventBody<never>>>(
  bodies: Bodies,
): Declared<Bodies> =>
  Object.fromEntries(
    Object.entries(bodies).map(([type, body]) => [type, { type, ...body }]),
  ) as unknown as Declared<Bodies>;

/** A JSON Schema for the data of each declared event. */
export type DataSchemas<Declarations> = { readonly [Type in keyof Declarations]: Schema };

/** The data of a declared event. */
export type EventData<Declaration> = Declaration extends EventDeclaration<string, infer Data> ? Data : never;

/** Whether an event is the declared one; its data then has the declared type. */
export const isEvent = <Type extends string, Data extends object>(
  candidate: LoggedEvent,
  declaration: EventDeclaration<Type, Data>,
): candidate is LoggedEvent<Type, Data> => candidate.type === declaration.type;

/** A change of a field in an event. A text that was redacted is null, too. */
export interface Change<Value = unknown> {
  old: Value | null;
  new: Value | null;
}
