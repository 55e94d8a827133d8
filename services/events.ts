/** All declared events, for readers of any stream and for the API's documents. */
import type { EventDeclaration, LoggedEvent } from "../core/events.ts";
import { array, integer, like, nullable, object, text, timestamp, uuid } from "../core/json-schema.ts";
import { memberEventData } from "./projects/members.answers.ts";
import { projectEventData } from "./projects/projects.answers.ts";
import { type EventPage, memberEvents, projectEvents } from "./projects/projects.contract.ts";
import { commentEventData } from "./tasks/comments.answers.ts";
import { taskEventData } from "./tasks/tasks.answers.ts";
import { commentEvents, taskEvents } from "./tasks/tasks.contract.ts";

export const EVENTS = { ...taskEvents, ...commentEvents, ...projectEvents, ...memberEvents };
const DATA = { ...taskEventData, ...commentEventData, ...projectEventData, ...memberEventData };

export type EventType = keyof typeof EVENTS;
export const EVENT_TYPES = Object.keys(EVENTS) as EventType[];

/** `task_due_soon` becomes `TaskDueSoonEvent`. */
const titleOf = (type: string): string =>
  `${type.replace(/(?:^|_)([a-z])/g, (_match, letter: string) => letter.toUpperCase())}Event`;

/** Each event's JSON Schema. */
const EVENT_SCHEMAS = EVENT_TYPES.map((type) => ({
  ...object<LoggedEvent>(
    titleOf(type),
    {
      id: uuid("0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76"),
      stream: text("project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21"),
      seq: integer(1, "The stream's events count 1, 2, 3 …, without a gap."),
      type: like({ type: "string", const: type }, type),
      time: timestamp("2026-11-21T09:30:00.000Z"),
      actor_id: nullable(
        uuid("0193a5c0-7d4e-7c31-9a55-3f0c8b1d2e4f", "Null for an event that no user caused."),
      ),
      request_id: nullable(text("0193a5c5-6c3c-7e95-b4ca-2f1e0d9c8b75")),
      traceparent: {
        type: "string",
        description: "The trace of the request (W3C Trace Context); absent when the request named none.",
      },
      data: DATA[type],
    },
    ["traceparent"],
  ),
  description: EVENTS[type].summary,
}));

const anyEvent = {
  title: "Event",
  oneOf: EVENT_SCHEMAS,
  examples: EVENT_SCHEMAS[0]?.examples,
};

/** A page of a stream's log. */
export const eventPage = object<EventPage>("EventPage", {
  items: array(anyEvent),
  limit: integer(20),
  head: integer(
    1,
    "The `seq` of the stream's last event: more can be read while the last item's is smaller.",
  ),
});

const DECLARATIONS: ReadonlyMap<string, EventDeclaration> = new Map(Object.entries(EVENTS));

/** Whether an event changes who may see or do what in its stream's project. */
export const movesAccess = ({ type, data }: LoggedEvent): boolean =>
  // The log's data has the type that its declaration gives it.
  DECLARATIONS.get(type)?.movesAccess(data as never) ?? false;
