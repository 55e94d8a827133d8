/** All declared events, for readers of any stream and for the API's documents. */
import { type EventDeclaration, type EventPage, type LoggedEvent, positionOf } from "../core/events.ts";
import { array, integer, like, nullable, object, text, timestamp, uuid } from "../core/json-schema.ts";
import { pageRules } from "../core/pagination.ts";
import * as rules from "../core/rules.ts";
import { memberEventData } from "./projects/members.answers.ts";
import { projectEventData } from "./projects/projects.answers.ts";
import { memberEvents, projectEvents } from "./projects/projects.contract.ts";
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
export const EVENT_SCHEMAS = EVENT_TYPES.map((type) => ({
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

export const anyEvent = {
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
  next: text(
    "1-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76",
    "The cursor of the last item, or `after` where there is none: send it as `after` to go on.",
  ),
});

/** The params of a page of a stream's log. */
export const logPageRules = {
  after: {
    ...rules.cursor,
    default: "0",
    description:
      "The last event that you have: its number, or number and id to have the id compared. 0 starts at the first event.",
  },
  limit: pageRules().limit,
} as const;

export const eventStreamRules = {
  after: {
    ...rules.cursor,
    optional: true,
    description:
      "The last event that you have, as in `id:` of a frame; without it the response begins at the present position. `Last-Event-ID` replaces it.",
  },
} as const;

/** What the document says of each response of server-sent events. */
export const STREAM_NOTES =
  "The response does not end by itself: its `id:` is a cursor, its `event:` the type, its `data:` the event as JSON. Without a cursor the first frame has an `id:` alone, the present position. A frame `reset` says that the log does not go on from your cursor: fetch the state. A comment comes every 15 seconds. When you may not read the stream any more, or your token ends, the response ends, and the next request says why. A user may have 20 such responses open.";

export const logPageParams = ({ after = "0", limit = 20 }: { after?: string; limit?: number }) => ({
  after: positionOf(after),
  limit,
});

/** What the document says of each page of a log. */
export const PAGE_NOTES =
  "A page of very long events holds fewer than `limit`: read on until the last item's `seq` is `head`. Old events are forgotten. After a number alone the page begins with the first event that is kept: when its `seq` is more than `after + 1`, fetch the state. After a cursor with an id, which the log does not have any more, the answer is 409.";

const DECLARATIONS: ReadonlyMap<string, EventDeclaration> = new Map(Object.entries(EVENTS));

/** Whether an event changes who may see or do what in its stream's project. */
export const movesAccess = ({ type, data }: LoggedEvent): boolean =>
  // The log's data has the type that its declaration gives it.
  DECLARATIONS.get(type)?.movesAccess(data as never) ?? false;
