/**
 * Server-sent events (HTML, 9.2): a response that goes on by itself. The gateway asks a notifier for what follows the
 * last event that it sent, and the notifier answers as soon as there is something. So a response holds a page of events
 * at most, it goes on at another notifier when one dies, and a reader that is slow is asked for nothing.
 */
import type { ServerResponse } from "node:http";
import { Readable } from "node:stream";
import type { Context } from "moleculer";
import { problemCode, retryLater } from "../../core/errors.ts";
import { cursorOf, type LoggedEvent, type StreamStart } from "../../core/events.ts";
import type { Actor, Caller, Meta } from "../../core/kit.ts";
import type { Followed } from "../notifier/notifier.contract.ts";
import type { Gateway } from "./exchange.ts";
import type { Request } from "./gateway-request.ts";
import type { Follow } from "./open-event-streams.ts";

export const EVENT_STREAM = "text/event-stream";

/** Seconds between two comments, which keep proxies from closing a quiet connection. */
const COMMENT_S = 15;
/** Milliseconds after which a client connects again. */
const RETRY_MS = 1000;
const frame = (event: LoggedEvent): string =>
  `id: ${cursorOf(event)}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

/** The frames of one stream, until `isOver` or until the caller may not read it any more. */
async function* frames(
  { stream, after: begin }: StreamStart,
  follow: (params: StreamStart & { wait: number }) => Promise<Followed>,
  isOver: () => boolean,
): AsyncGenerator<string> {
  yield `retry: ${RETRY_MS}\n\n`;
  for (let after = begin; !isOver();) {
    const { events, cursor, isReset } = await follow({
      stream,
      wait: COMMENT_S,
      ...(after !== undefined && { after }),
    });
    if (cursor === null || isOver()) return;
    if (isReset) yield `id: ${cursor}\nevent: reset\ndata: ${JSON.stringify({ stream, cursor })}\n\n`;
    // A frame without data tells the client where it is, and nothing else.
    else if (after === undefined) yield `id: ${cursor}\n\n`;
    else if (events.length === 0) yield ":\n\n";
    for (const event of events) {
      if (isOver()) return;
      yield frame(event);
    }
    after = cursor;
  }
}

/** Cuts a client off that does not read a chunk within so many milliseconds. */
async function* readInTime(
  chunks: AsyncIterable<string>,
  response: ServerResponse,
  withinMs: number,
): AsyncGenerator<string> {
  for await (const chunk of chunks) {
    const timer = setTimeout(() => response.destroy(), withinMs);
    try {
      yield chunk;
    } finally {
      clearTimeout(timer);
    }
  }
}

/**
 * The body of a response of server-sent events. It ends with the session, the token and this node; the client connects
 * again with `Last-Event-ID`, and learns then what is wrong.
 * @throws Problem rate-limited; service-unavailable on a node that stops
 */
export function eventStream(
  gateway: Gateway,
  ctx: Context<unknown, Meta>,
  request: Request,
  response: ServerResponse,
  { start, follow }: { start: StreamStart; follow: Follow },
): Readable {
  const actor = ctx.meta.actor as Actor;
  const expiresAt = gateway.authenticator.expiryOf(request);
  ctx.meta.expiresAt = expiresAt;
  const { eventStreams, revocations, waitingCalls } = gateway;
  const leave = eventStreams.enter(actor);
  if (!waitingCalls.begin(ctx.id, response)) {
    leave();
    throw retryLater("service-unavailable");
  }
  const isOver = (): boolean =>
    waitingCalls.isClosed ||
    revocations.has(actor.session) === true ||
    (expiresAt !== null && expiresAt <= Date.now());
  // `ctx` itself would be taken for a service's context.
  const from = { call: ctx.call.bind(ctx) } as Caller;
  const body = async function* (): AsyncGenerator<string> {
    try {
      yield* readInTime(
        frames(start, (params) => follow(from, params), isOver),
        response,
        gateway.connections.readWithinMs,
      );
    } catch (error) {
      if (problemCode(error) === null) gateway.broker.logger.warn("an event stream ended", error);
    }
  };
  // A chunk at a time: more would wait here for a slow reader.
  const readable = Readable.from(body(), { highWaterMark: 1 });
  response.once("close", () => {
    leave();
    readable.destroy();
  });
  return readable;
}
