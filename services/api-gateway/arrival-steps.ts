/** What every request goes through before its route is looked up, also one that no route matches. */
import type { ServerResponse } from "node:http";
import helmet from "helmet";
import { clientAddress } from "../../core/client-address.ts";
import { Problem } from "../../core/errors.ts";
import type { OpsPage } from "../../mixins/ops-pages.ts";
import { allowHeader, hasOwnBudget, notRouted } from "./aliases.ts";
import { boundPreflight } from "./cors.ts";
import { countRequest, type Gateway } from "./exchange.ts";
import { measureRequest } from "./gateway-metrics.ts";
import { type Request, run } from "./moleculer-web.ts";
import { servePage } from "./web-pages.ts";

/** @returns true when the step answered the request */
type ArrivalStep = (
  gateway: Gateway,
  request: Request,
  response: ServerResponse,
) => boolean | void | Promise<boolean | void>;

const isOptions = ({ method }: Request): boolean => method === "OPTIONS";
const isPreflight = (request: Request): boolean =>
  isOptions(request) && request.headers["access-control-request-method"] !== undefined;

const secure = helmet();
/** Before any response: problems and pages have these headers, too. */
const setSecurityHeaders: ArrivalStep = (_gateway, request, response) => run(secure, request, response);

/** The absolute form of a URL names the server too (RFC 9112 §3.2.2): routes and pages know paths alone. */
const useOriginForm: ArrivalStep = (_gateway, request) => {
  request.url = request.url?.replace(/^https?:\/\/[^/?#]*/i, "") || "/";
};

/** Before any response: browsers show a problem to a page only with these headers. A preflight gets them last. */
const setCorsHeaders: ArrivalStep = (gateway, request, response) => {
  if (isOptions(request)) boundPreflight(request);
  else return run(gateway.allowOrigins, request, response);
};

/** Before the budgets: probes come often, from one address, and cost next to nothing. */
const serveOps: ArrivalStep = async ({ ops }, request, response) => {
  if (!ops.has(request) || isPreflight(request)) return false;
  if (isOptions(request)) {
    response.writeHead(204, { Allow: "GET, HEAD, OPTIONS" }).end();
    return true;
  }
  const { status, type, body } = (await ops.answer(request)) as OpsPage;
  response.writeHead(status, {
    "Content-Type": type,
    "Content-Length": Buffer.byteLength(body),
    "Cache-Control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : body);
  return true;
};

/** After the probes, whose 503 is no failed request. */
const measure: ArrivalStep = ({ requestMetrics }, request, response) =>
  measureRequest(requestMetrics, request, response);

/**
 * Before a request costs anything, it costs its budget: the user's where this gateway knows the token, else the
 * address's. A route with a budget of its own is counted once it is known who may call it.
 */
const countArrival: ArrivalStep = async (gateway, request, response) => {
  const actor = await gateway.authenticator.known(request);
  request.client = actor === null ? `address:${clientAddress(request, gateway.config)}` : `user:${actor.id}`;
  if (!hasOwnBudget(request)) await countRequest(gateway, request, response, "default", actor);
};

/** After the client is known: it gets no further response while it leaves too many unread. */
const mustReadResponses: ArrivalStep = ({ connections }, request) =>
  connections.mustHaveRoom(request, request.client as string);

const mustNameHost: ArrivalStep = (_gateway, { httpVersion, headers }) => {
  if (httpVersion === "1.1" && headers.host === undefined)
    throw new Problem("malformed-request", "An HTTP/1.1 request needs a Host header");
};

const mustExpectNothingElse: ArrivalStep = (_gateway, { headers }) => {
  if (!["100-continue", undefined].includes(headers.expect?.toLowerCase()))
    throw new Problem("expectation-failed");
};

const servePages: ArrivalStep = ({ origin }, request, response) => servePage(request, response, origin);

/** moleculer-web would run a write and then respond 304: the step hides the header from it, and keeps it for reads. */
const keepIfNoneMatch: ArrivalStep = (_gateway, request) => {
  if (request.method === "GET" || request.method === "HEAD")
    request.ifNoneMatch = request.headers["if-none-match"];
  delete request.headers["if-none-match"];
};

const listMethods: ArrivalStep = (gateway, request, response) => {
  if (!isOptions(request) || isPreflight(request)) return false;
  const allowed = gateway.allowedMethods(request.url ?? "/");
  if (allowed.length === 0) throw notRouted(request, allowed);
  response.writeHead(204, { Allow: allowHeader(allowed) }).end();
  return true;
};

/** The middleware ends a preflight request itself, and never comes back. */
const answerPreflight: ArrivalStep = (gateway, request, response) =>
  isPreflight(request) ? run(gateway.allowOrigins, request, response) : undefined;

/** In this order: what costs little and refuses much comes first. */
const STEPS: readonly ArrivalStep[] = [
  setSecurityHeaders,
  useOriginForm,
  setCorsHeaders,
  serveOps,
  measure,
  countArrival,
  mustReadResponses,
  mustNameHost,
  mustExpectNothingElse,
  servePages,
  keepIfNoneMatch,
  listMethods,
  answerPreflight,
];

/** @returns whether a step answered the request */
export async function arrive(gateway: Gateway, request: Request, response: ServerResponse): Promise<boolean> {
  for (const step of STEPS) if ((await step(gateway, request, response)) === true) return true;
  return false;
}
