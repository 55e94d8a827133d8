/** Responses that are too long for one message of the broker, and that the gateway reads in parts from one node. */
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { ServiceBroker } from "moleculer";
import { READ_WITHIN_MS } from "./connections.ts";

/** JSON, one value a line. */
export const NDJSON = "application/x-ndjson";

export interface Part {
  text: string;
  /** What the node knows the rest by; null for the last part. */
  id: string | null;
  node: string;
}

/** How the gateway gets the parts after the first one, which the route's action returns. */
export interface Rest {
  next(broker: ServiceBroker, part: Part): Promise<Part>;
  /** Nobody reads the rest. */
  end(broker: ServiceBroker, part: Part): Promise<void>;
}

/**
 * The parts, each read when the client has taken the one before it. A part that fails, or that the client does not take
 * in time, cuts the connection. When the response closes early, the node learns it.
 */
export function readParts(
  broker: ServiceBroker,
  first: Part,
  rest: Rest,
  response: ServerResponse,
): Readable {
  let part = first;
  const end = (): void => {
    // The node also ends by itself what nobody reads.
    if (part.id !== null) void rest.end(broker, part).catch(() => {});
  };
  if (response.closed) end();
  else response.once("close", end);

  async function* texts() {
    for (;;) {
      const tooLate = setTimeout(() => response.destroy(), READ_WITHIN_MS);
      try {
        yield part.text;
      } finally {
        clearTimeout(tooLate);
      }
      if (part.id === null) return;
      part = await rest.next(broker, part);
    }
  }
  return Readable.from(texts(), { highWaterMark: 1 });
}
