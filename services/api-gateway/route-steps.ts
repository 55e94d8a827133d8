/** What a request goes through once its route is known, before the action is called. */
import { clientAddress } from "../../core/client-address.ts";
import type { Meta } from "../../core/kit.ts";
import { originHere, traceparentOf } from "../../core/trace.ts";
import { mustHaveNoKey, readIdempotencyKey, readIfMatch } from "./conditional.ts";
import { EVENT_STREAM } from "./event-stream.ts";
import { countRequest, type Exchange, type Gateway, isCounted } from "./exchange.ts";
import { atNobody, type FindAttempt } from "./login-attempts.ts";
import { NDJSON } from "./parts.ts";
import { bindParams, mustBeAcceptable, parseQuery, readBody, withRefreshCookie } from "./request.ts";
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
  const { ctx, request, action } = exchange;
  const budget = budgetOf(exchange);
  const count = (actor: Meta["actor"]) => countRequest(gateway, request, budget, actor);
  const mustCount = () => !isCounted(request, budget);
  if (action.auth === "public") {
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
  exchange.query = parseQuery(exchange.request.url ?? "/");
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
const readJsonBody: RouteStep = (exchange) => {
  const { isRead, request, response, route } = exchange;
  if (isRead) return;
  return readBody(request, response, route.maxFields).then((body) => void (exchange.body = body));
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
const countOperations: RouteStep = (exchange, { limits }) => {
  const { ctx, request, route, params } = exchange;
  const more = (route.countRequests?.(params) ?? 1) - 1;
  return more > 0 ? limits.admit(request, budgetOf(exchange), ctx.meta.actor, more) : undefined;
};

/** A mail to any address costs as much as those of the routes that always send one. */
const countMail: RouteStep = ({ ctx, request, route, params }, { limits }) =>
  route.mailField !== undefined && params[route.mailField] !== undefined
    ? limits.admit(request, "auth", ctx.meta.actor)
    : undefined;

/** A cursor is valid only for the caller, the list and the filters that it was made for; so is the next page's. */
const openCursor: RouteStep = ({ ctx, request, route, path, query, params }, { cursors }) => {
  if (route.list !== true) return;
  const list = `${route.path} ${Object.values(path).join(" ")}`;
  const scope = scopeOf(ctx.meta.actor?.id ?? "", list, query);
  request.page = { scope, query: query as Record<string, string> };
  if (typeof params.cursor === "string" && params.cursor !== "")
    params.cursor = cursors.verify(params.cursor, scope);
};

/** Only a creating POST takes a client's key; the gateway makes one for each other write that can be sent again. */
const KEYLESS = { headers: {} };

/** After the params are bound: they are part of the fingerprint of an idempotency key. */
const readConditions: RouteStep = ({ ctx, request, route, action, isRead, params }, { config }) => {
  const { versioned = false, idempotent = false } = route;
  const required = config.REQUIRE_IF_MATCH && !isRead && request.method !== "POST";
  ctx.meta.conditions = {
    ifMatch: versioned && !isRead ? readIfMatch(request, required) : null,
    key:
      idempotent || (!isRead && action.retryPolicy?.enabled === true)
        ? readIdempotencyKey(idempotent ? request : KEYLESS, route.action, params, ctx.meta.actor)
        : null,
  };
};

/** Last of what can refuse the request: one that was refused before tried no password. */
const beginAttempt: RouteStep = (exchange, gateway) =>
  exchange.route.attempt === undefined ? undefined : tryPassword(exchange, exchange.route.attempt, gateway);

async function tryPassword(
  exchange: Exchange,
  findAttempt: FindAttempt,
  { broker, limits }: Gateway,
): Promise<void> {
  const { ctx, request, response, params } = exchange;
  const tried = await findAttempt(broker, params, ctx.meta.actor);
  // For a client that has left meanwhile no failure would be taken back.
  if (tried === null || response.closed) return;
  request.loginAttempt = await limits.beginLogin(request, response, tried);
  if (request.loginAttempt.hopeless) exchange.params = atNobody(params);
}

const readRefreshCookie: RouteStep = (exchange, { config }) => {
  const { request, route, params } = exchange;
  if (route.readsRefreshCookie === true)
    exchange.params = withRefreshCookie(params, request, config.CORS_ORIGINS);
};

/** In this order: nothing is read, asked or done for a request before the budget for it is taken. */
const STEPS: readonly RouteStep[] = [
  keepTrace,
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

/** Takes a request through the steps. @returns whether its client still waits: nothing more is done for one that has left */
export async function prepare(gateway: Gateway, exchange: Exchange): Promise<boolean> {
  for (const step of STEPS) {
    // Most steps have nothing to wait for.
    const waits = step(exchange, gateway);
    if (waits === undefined) continue;
    await waits;
    if (exchange.response.closed) return false;
  }
  return true;
}
