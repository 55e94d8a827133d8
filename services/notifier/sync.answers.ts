import { array, boolean, integer, like, object, text } from "../../core/json-schema.ts";
import { anyEvent } from "../events.ts";
import type { Sync } from "./notifier.contract.ts";

const STREAM = "project:0193a5c3-91d2-7b64-8e1f-6d7c5b4a3f21";
const streams = (description: string) => ({ ...array(text(STREAM)), description, examples: [[]] });

export const sync = object<Sync>(
  "Sync",
  {
    events: { ...array(anyEvent), description: "In each stream's order." },
    cursors: like(
      { type: "object", additionalProperties: { type: "string" } },
      { [STREAM]: "41-0193a5c5-6c3d-7e96-b4ca-2f1e0d9c8b76" },
      "The cursor of each stream that you have now: send them with the next sync.",
    ),
    gained: streams(
      "Streams that you have from now on, from the position in `cursors`: fetch their state after this sync, and events that follow bring it up to date.",
    ),
    lost: streams("Streams that you may not read any more: forget what you have of them."),
    reset: streams(
      "Streams whose cursor the log does not go on from, since the event was forgotten or the database restored: fetch their state again. `cursors` has the present position.",
    ),
    more: boolean(false, "More events are there already: sync again at once."),
    left_out: integer(1, "Your streams beyond the 5,000 that one client may have."),
  },
  ["left_out"],
);
