/** The way of a request whose place is known: the steps, the action, the response. */
import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import type { Context, ServiceBroker } from "moleculer";
import { retryLater } from "../../core/errors.ts";
import type { StreamStart } from "../../core/events.ts";
import type { Meta } from "../../core/kit.ts";
import { EVENT_STREAM, eventStream } from "./event-stream.ts";
import type { ActionFacts, Exchange, Gateway } from "./exchange.ts";
import type { Request } from "./gateway-request.ts";
import { NDJSON, type Part, readParts } from "./parts.ts";
import { makeAnswer, sendAnswer, sendStream } from "./response.ts";
import { prepare } from "./route-steps.ts";
import { notRouted } from "./router.ts";

/** What the nodes that have an action say of it. @throws Problem service-unavailable when no node has it */
function factsOf({ registry }: ServiceBroker, action: string): ActionFacts {
  type Endpoints = { endpoints: { action: object }[] } | undefined;
  const [first] = (registry.getActionEndpoints(action) as Endpoints)?.endpoints ?? [];
  if (first === undefined) throw retryLater("service-unavailable");
  return first.action as ActionFacts;
}

/** The context that the gateway's calls for a request belong to. */
function contextOf(broker: ServiceBroker, { requestId }: Request): Context<unknown, Meta> {
  const ctx = broker.ContextFactory.create(broker) as Context<unknown, Meta>;
  ctx.requestID = requestId;
  return ctx;
}

/** The body of a response that goes on after its first part; null for one that is an answer. */
function streamOf(gateway: Gateway, exchange: Exchange, result: unknown): Readable | null {
  const { ctx, request, response, route } = exchange;
  if (route.follow !== undefined)
    return eventStream(gateway, ctx, request, response, {
      start: result as StreamStart,
      follow: route.follow,
    });
  return route.rest === undefined ? null : readParts(gateway.broker, result as Part, route.rest, response);
}

/**
 * Carries out a request.
 * @throws Problem not-found and method-not-allowed by its path; service-unavailable without a node; what the steps and
 *   the action throw; overloaded for a read whose client leaves too many responses unread (a write has happened, and says so)
 */
export async function carryOut(gateway: Gateway, request: Request, response: ServerResponse): Promise<void> {
  const { found = null, route, method } = request;
  if (found === null || route === undefined) throw notRouted(method, found);
  const { broker, connections, cursors } = gateway;
  const exchange: Exchange = {
    ctx: contextOf(broker, request),
    request,
    response,
    route,
    mount: found.mount,
    action: factsOf(broker, route.action),
    isRead: method === "GET" || method === "HEAD",
    path: found.params,
    query: {},
    body: undefined,
    params: {},
  };
  if (!(await prepare(gateway, exchange))) {
    // The client has left before the password was compared.
    request.loginAttempt?.undecided();
    return;
  }
  const cached = await gateway.answers.find(exchange);
  const result: unknown = cached ?? (await exchange.ctx.call(route.action, exchange.params));
  gateway.answers.keep(exchange, result);
  if (route.follow !== undefined || route.rest !== undefined) {
    const type = route.follow === undefined ? NDJSON : EVENT_STREAM;
    const isHead = method === "HEAD" && route.follow !== undefined;
    return sendStream(exchange, type, isHead ? null : streamOf(gateway, exchange, result));
  }
  await request.loginAttempt?.succeeded();
  const answer = makeAnswer(exchange, result, cursors);
  if (answer.body !== null && route.method === "GET")
    connections.mustHaveRoom(request, request.client ?? "", answer.body.length);
  sendAnswer(exchange, answer);
}
