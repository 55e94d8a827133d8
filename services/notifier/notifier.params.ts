import * as rules from "../../core/rules.ts";

/** Seconds that a sync may wait for the first event. */
export const MAX_WAIT_S = 30;
/** Events that one sync returns at most. */
const MAX_EVENTS = 1000;

const cursors = {
  type: "record",
  key: {
    type: "string",
    pattern: "^(?:project|user):[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
    messages: { stringPattern: "A stream's name is project:<id> or user:<id>." },
  },
  value: rules.cursor,
  optional: true,
  description:
    "The cursor of each stream that you have, at most 5,000: those of the last sync, or of a socket. Empty at the first one.",
  example: { "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21": "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76" },
} as const;

export const followRules = {
  stream: { type: "string" },
  after: { ...rules.cursor, optional: true },
  wait: { type: "number" },
} as const;

export const syncRules = {
  cursors,
  limit: {
    type: "number",
    integer: true,
    min: 1,
    max: MAX_EVENTS,
    optional: true,
    description: "The maximum number of events, 100 unless you say.",
  },
  wait: {
    type: "number",
    integer: true,
    min: 0,
    max: MAX_WAIT_S,
    optional: true,
    description: "Seconds to wait for the first event when there is none; 0 unless you say.",
  },
} as const;
