/** What a request goes through once its route is known, before the action is called and after. */
import type { ServerResponse } from "node:http";
import type { Readable } from "node:stream";
import type { Context } from "moleculer";
import { clientAddress } from "../../core/client-address.ts";
import type { StreamStart } from "../../core/events.ts";
import type { Meta } from "../../core/kit.ts";
import { originHere, traceparentOf } from "../../core/trace.ts";
import { namesFixedSegment, notRouted, routeOf } from "./aliases.ts";
import { mustHaveNoKey, readIdempotencyKey, readIfMatch } from "./conditional.ts";
import { EVENT_STREAM, eventStream } from "./event-stream.ts";
import { countRequest, type Exchange, type Gateway, isCounted } from "./exchange.ts";
import { atNobody } from "./login-attempts.ts";
import type { Alias, Request } from "./moleculer-web.ts";
import { NDJSON, type Part, readParts } from "./parts.ts";
import { bindParams, mustBeAcceptable, parseQuery, readBody, withRefreshCookie } from "./request.ts";
import { successBody } from "./response.ts";
import { scopeOf } from "./signed-cursors.ts";

type RouteStep = (exchange: Exchange, gateway: Gateway) => void | Promise<void>;

const budgetOf = ({ route }: Exchange) => route.budget ?? "default";

/** First: whatever happens to the request belongs to its trace. Its events carry what the client itself sent. */
const keepTrace: RouteStep = ({ ctx, request }) => {
  const traceparent = traceparentOf(request);
  if (traceparent !== null) ctx.meta.traceparent = traceparent;
  const origin = originHere();
  if (origin !== null) ctx.meta.trace = origin.trace;
};

/** The router takes `DELETE /tasks/bulk` for the deletion of a task with the id `bulk`. */
const mustAllowMethod: RouteStep = ({ request, path }, gateway) => {
  if (!namesFixedSegment(path)) return;
  const allowed = gateway.allowedMethods(request.originalUrl ?? "/");
  if (!allowed.includes((request.$alias as Alias).method)) throw notRouted(request, allowed);
};

/** A response without a body suits every client. */
const mustAcceptResponse: RouteStep = ({ request, route }) => {
  if (route.status !== 204) mustBeAcceptable(request, route.rest ? NDJSON : route.follow && EVENT_STREAM);
};

/**
 * Before anything is read: the caller is identified, and costs the budget of the route. A token that another
 * service must verify is first charged to the address, because that call is work too. A caller who cannot be identified
 * costs the address alone.
 */
const identifyCaller: RouteStep = async (exchange, gateway) => {
  const { ctx, request, response } = exchange;
  const budget = budgetOf(exchange);
  const count = (actor: Meta["actor"]) => countRequest(gateway, request, response, budget, actor);
  const mustCount = () => !isCounted(request, budget);
  if (request.$action.auth === "public") {
    if (mustCount()) await count(null);
    return;
  }
  await gateway.revocations.whenCurrent();
  const asks = gateway.authenticator.mustAsk(request);
  if (asks && mustCount()) await count(null);
  try {
    ctx.meta.actor = await gateway.authenticator.authenticate(request);
  } catch (error) {
    if (mustCount()) await count(null);
    throw error;
  }
  request.userId = ctx.meta.actor?.id;
  if (asks || mustCount()) await count(ctx.meta.actor);
};

const readQuery: RouteStep = (exchange) => {
  exchange.query = parseQuery(exchange.request.originalUrl ?? "/");
};

const tellClient: RouteStep = ({ ctx, request, route }, { config }) => {
  if (route.tellsClient !== true) return;
  const userAgent = request.headers["user-agent"] ?? null;
  ctx.meta.client = { address: clientAddress(request, config), userAgent };
};

const mustSendNoKey: RouteStep = ({ request, route }) => {
  if (route.keyless !== undefined) mustHaveNoKey(request, route.keyless);
};

/** After the caller is known and counted: nobody else makes the gateway read a megabyte. */
const readJsonBody: RouteStep = async (exchange) => {
  const { request, response, route } = exchange;
  if (!exchange.isRead) exchange.body = await readBody(request, response, route.maxFields);
};

/** After the body is there: a client that sends it slowly holds no slot. */
const takeLoginSlot: RouteStep = ({ response, route }, { loginSlots }) => {
  if (route.slot === true) loginSlots.take(response);
};

const bindToAction: RouteStep = (exchange) => {
  exchange.params = bindParams(exchange.request, exchange);
};

/** A client that connects again says where it was: newer than what its URL says. */
const readLastEventId: RouteStep = ({ request, route, params }) => {
  const { "last-event-id": last } = request.headers;
  if (route.follow !== undefined && typeof last === "string" && last !== "") params.after = last;
};

/** Before the call: the client may hang up at any moment from now on. */
const beginWait: RouteStep = ({ ctx, request, response, route, params }, { authenticator, waitingCalls }) => {
  if (route.waitField === undefined) return;
  ctx.meta.expiresAt = authenticator.expiryOf(request);
  if (!waitingCalls.begin(ctx.id, response)) params[route.waitField] = 0;
};

/** A bulk costs what its operations cost, or nothing more where the budget does not hold all of them. */
const countOperations: RouteStep = async (exchange, { limits }) => {
  const { ctx, request, response, route, params } = exchange;
  const more = (route.countRequests?.(params) ?? 1) - 1;
  if (more > 0) await limits.admit(request, response, budgetOf(exchange), ctx.meta.actor, more);
};

/** A mail to any address costs as much as those of the routes that always send one. */
const countMail: RouteStep = async ({ ctx, request, response, route, params }, { limits }) => {
  if (route.mailField !== undefined && params[route.mailField] !== undefined)
    await limits.admit(request, response, "auth", ctx.meta.actor);
};

/** A cursor is valid only for the caller, the list and the filters that it was made for; so is the next page's. */
const openCursor: RouteStep = ({ ctx, request, route, path, query, params }, { cursors }) => {
  if (route.list !== true) return;
  const list = `${(request.$alias as Alias).path} ${Object.values(path).join(" ")}`;
  const scope = scopeOf(ctx.meta.actor?.id ?? "", list, query);
  request.page = { scope, query: query as Record<string, string> };
  if (typeof params.cursor === "string" && params.cursor !== "")
    params.cursor = cursors.verify(params.cursor, scope);
};

/** Only a creating POST takes a client's key; the gateway makes one for each other write that can be sent again. */
const KEYLESS = { headers: {} };

/** After the params are bound: they are part of the fingerprint of an idempotency key. */
const readConditions: RouteStep = ({ ctx, request, route, isRead, params }, { config }) => {
  const { versioned = false, idempotent = false, action } = route;
  const required = config.REQUIRE_IF_MATCH && !isRead && request.method !== "POST";
  ctx.meta.conditions = {
    ifMatch: versioned && !isRead ? readIfMatch(request, required) : null,
    key:
      idempotent || (!isRead && request.$action.retryPolicy?.enabled === true)
        ? readIdempotencyKey(idempotent ? request : KEYLESS, action, params, ctx.meta.actor)
        : null,
  };
};

/** Last of what can refuse the request: one that was refused before tried no password. */
const beginAttempt: RouteStep = async (exchange, { broker, limits }) => {
  const { ctx, request, response, route, params } = exchange;
  const tried = await route.attempt?.(broker, params, ctx.meta.actor);
  if (tried == null) return;
  request.loginAttempt = await limits.beginLogin(request, response, tried);
  if (request.loginAttempt.hopeless) exchange.params = atNobody(params);
};

const readRefreshCookie: RouteStep = (exchange, { config }) => {
  const { request, route, params } = exchange;
  if (route.readsRefreshCookie === true)
    exchange.params = withRefreshCookie(params, request, config.CORS_ORIGINS);
};

/** In this order: nothing is read, asked or done for a request before the budget for it is taken. */
const STEPS: readonly RouteStep[] = [
  keepTrace,
  mustAllowMethod,
  mustAcceptResponse,
  identifyCaller,
  readQuery,
  tellClient,
  mustSendNoKey,
  readJsonBody,
  takeLoginSlot,
  bindToAction,
  readLastEventId,
  countOperations,
  countMail,
  openCursor,
  readConditions,
  beginAttempt,
  readRefreshCookie,
  beginWait,
];

/** Takes a request through the steps, and leaves the action's params in `$params`. */
export async function beforeAction(
  gateway: Gateway,
  ctx: Context<unknown, Meta>,
  request: Request,
  response: ServerResponse,
): Promise<void> {
  const path = request.$params.params;
  request.pathParams = path;
  const isRead = request.method === "GET" || request.method === "HEAD";
  const route = routeOf(request.$alias as Alias);
  const exchange: Exchange = {
    ctx,
    request,
    response,
    route,
    isRead,
    path,
    query: {},
    body: undefined,
    params: {},
  };
  for (const step of STEPS) await step(exchange, gateway);
  request.$params = exchange.params as Request["$params"];
}

/**
 * Makes the response to a success.
 * @returns the body as JSON, or a stream of it; null for none
 * @throws Problem overloaded for a read whose client leaves too many responses unread; a write has happened, and says so
 */
export async function afterAction(
  gateway: Gateway,
  ctx: Context<unknown, Meta & { $responseType?: string }>,
  request: Request,
  response: ServerResponse,
  result: unknown,
): Promise<string | Readable | null> {
  const { broker, cursors, connections } = gateway;
  const route = routeOf(request.$alias as Alias);
  if (route.follow !== undefined) {
    response.setHeader("Cache-Control", "no-store");
    ctx.meta.$responseType = EVENT_STREAM;
    const events = { start: result as StreamStart, follow: route.follow };
    return request.method === "HEAD" ? "" : eventStream(gateway, ctx, request, response, events);
  }
  if (route.rest !== undefined) {
    response.setHeader("Cache-Control", "no-store");
    ctx.meta.$responseType = NDJSON;
    return readParts(broker, result as Part, route.rest, response);
  }
  await request.loginAttempt?.succeeded();
  const body = successBody(ctx, route, request, response, result, cursors);
  if (body !== null && route.method === "GET")
    connections.mustHaveRoom(request, request.client ?? "", body.length);
  return body;
}
