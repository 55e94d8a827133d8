/** What every request goes through before it is carried out, also one that no route matches. */
import type { ServerResponse } from "node:http";
import { clientAddress } from "../../core/client-address.ts";
import { Problem } from "../../core/errors.ts";
import type { OpsPage, OpsPages } from "../../mixins/ops-pages.ts";
import { boundPreflight } from "./cors.ts";
import { countRequest, type Gateway } from "./exchange.ts";
import { measureRequest } from "./gateway-metrics.ts";
import { handOver, type Request, writeHead } from "./gateway-request.ts";
import type { Kind } from "./load-shedder.ts";
import { allowHeader, findPlace, notRouted } from "./router.ts";
import { hasDemo, hasTypicalTime, isUnderWay, type Route } from "./routes.ts";
import { prefersPage, servePage } from "./web-pages.ts";

/** @returns true when the step answered the request */
type ArrivalStep = (
  gateway: Gateway,
  request: Request,
  response: ServerResponse,
) => boolean | void | Promise<boolean | void>;

const isOptions = ({ method }: Request): boolean => method === "OPTIONS";
const isPreflight = (request: Request): boolean =>
  isOptions(request) && request.headers["access-control-request-method"] !== undefined;

/** The absolute form of a URL names the server too (RFC 9112 §3.2.2): routes and pages know paths alone. */
const useOriginForm: ArrivalStep = (_gateway, request) => {
  if (request.url?.startsWith("/") !== true)
    request.url = request.url?.replace(/^https?:\/\/[^/?#]*/i, "") || "/";
};

/** Before any response: browsers show a problem to a page only with these headers. A preflight gets them last. */
const setCorsHeaders: ArrivalStep = ({ cors }, request) => {
  if (isOptions(request)) boundPreflight(request);
  else Object.assign(request.head, cors.headersFor(request));
};

async function answerOps(ops: OpsPages, request: Request, response: ServerResponse): Promise<true> {
  if (isOptions(request)) {
    request.head.Allow = "GET, HEAD, OPTIONS";
    writeHead(request, response, 204);
    response.end();
    return true;
  }
  const { status, type, body } = (await ops.answer(request)) as OpsPage;
  Object.assign(request.head, {
    "Content-Type": type,
    "Content-Length": String(Buffer.byteLength(body)),
    "Cache-Control": "no-store",
  });
  writeHead(request, response, status);
  response.end(request.method === "HEAD" ? undefined : body);
  return true;
}

/** Before the budgets: probes come often, from one address, and cost next to nothing. */
const serveOps: ArrivalStep = ({ ops }, request, response) =>
  ops.has(request) && !isPreflight(request) ? answerOps(ops, request, response) : false;

/** After the probes, whose 503 is no failed request. */
const measure: ArrivalStep = ({ requestMetrics }, request, response) =>
  measureRequest(requestMetrics, request, response);

/** Before the budget: a route may have one of its own. */
const findRoute: ArrivalStep = (_gateway, request) => {
  request.found = findPlace(request.url ?? "/");
  request.route = request.found?.routes.get(request.method ?? "");
};

/** The caller as far as this gateway knows: without a question to a service, which would have to be counted before. */
const recognize: ArrivalStep = ({ authenticator, config }, request) => {
  request.known = authenticator.known(request);
  request.client =
    request.known === null ? `address:${clientAddress(request, config)}` : `user:${request.known.id}`;
};

const kindOf = ({ known, method }: Request, { reads, readsRefreshCookie }: Route): Kind => {
  // A new token is what a user needs first: without it everything else of theirs would be a stranger's, too.
  if (known == null && readsRefreshCookie !== true) return "stranger";
  return method === "GET" || method === "HEAD" || reads === true ? "read" : "write";
};

/** Before the budget, which costs a round trip to Redis. Once the head is written, only the client's reading is left. */
const mustBeInTime: ArrivalStep = ({ shedder, requestMetrics }, request, response) => {
  const { route, onHead } = request;
  if (route === undefined) return;
  const kind = kindOf(request, route);
  try {
    shedder.admit(kind);
  } catch (error) {
    request.isShed = true;
    requestMetrics.shed.inc({ kind });
    throw error;
  }
  if (!isUnderWay(route)) return;
  const end = shedder.begin();
  request.onHead = (status) => {
    // A refusal is soon made, whatever else is slow.
    const isTypical = hasTypicalTime(route) && (status < 400 || status >= 500);
    end(isTypical ? performance.now() - request.arrivedAt : null);
    onHead?.(status);
  };
  response.once("close", () => end(null));
};

/**
 * Before a request costs anything, it costs its budget: the user's where this gateway knows the token, else the
 * address's. A route with a budget of its own is counted once it is known who may call it.
 */
const countArrival: ArrivalStep = (gateway, request) =>
  request.route?.budget === undefined
    ? countRequest(gateway, request, "default", request.known ?? null)
    : undefined;

/** After the client is known: it gets no further response while it leaves too many unread. */
const mustReadResponses: ArrivalStep = ({ connections }, request) =>
  connections.mustHaveRoom(request, request.client as string);

const mustNameHost: ArrivalStep = (_gateway, { httpVersion, headers }) => {
  if (httpVersion === "1.1" && headers.host === undefined)
    throw new Problem("malformed-request", "An HTTP/1.1 request needs a Host header");
};

const mustExpectNothingElse: ArrivalStep = (_gateway, { headers }) => {
  if (headers.expect !== undefined && headers.expect.toLowerCase() !== "100-continue")
    throw new Problem("expectation-failed");
};

const servePages: ArrivalStep = ({ origin, config, broker }, request, response) => {
  const findDemo = async (): Promise<boolean> => !config.production && hasDemo(broker);
  return request.found === null || prefersPage(request)
    ? servePage(request, response, origin, findDemo)
    : false;
};

const listMethods: ArrivalStep = (_gateway, request, response) => {
  if (!isOptions(request) || isPreflight(request)) return false;
  const { found = null } = request;
  if (found === null) throw notRouted(request.method, found);
  request.head.Allow = allowHeader(found);
  writeHead(request, response, 204);
  response.end();
  return true;
};

const answerPreflight: ArrivalStep = ({ cors }, request, response) => {
  if (!isPreflight(request)) return false;
  handOver(request, response, 204);
  cors.preflight(request, response, () => {});
  return true;
};

/** In this order: what costs little and refuses much comes first. */
const STEPS: readonly ArrivalStep[] = [
  useOriginForm,
  setCorsHeaders,
  serveOps,
  measure,
  findRoute,
  recognize,
  mustBeInTime,
  countArrival,
  mustReadResponses,
  mustNameHost,
  mustExpectNothingElse,
  servePages,
  listMethods,
  answerPreflight,
];

/** @returns whether the request is over: a step answered it, or its client has left */
export async function arrive(gateway: Gateway, request: Request, response: ServerResponse): Promise<boolean> {
  for (const step of STEPS) {
    const answers = step(gateway, request, response);
    // Most steps have nothing to wait for.
    if (typeof answers !== "object") {
      if (answers === true) return true;
      continue;
    }
    if ((await answers) === true || response.closed) return true;
  }
  return false;
}
