/** HTTP responses: of a success, by what the action returned, and of an error, by a problem. */
import type { ServerResponse } from "node:http";
import { pipeline, type Readable } from "node:stream";
import { PROBLEMS, problemCode, problemDocument } from "../../core/errors.ts";
import type { EventPage } from "../../core/events.ts";
import { isJsonText, type JsonText } from "../../core/json-text.ts";
import type { Log } from "../../core/log.ts";
import type { Page } from "../../core/pagination.ts";
import { challenge } from "./authenticate.ts";
import { entityTag, isFresh } from "./conditional.ts";
import type { Exchange } from "./exchange.ts";
import { type Request, writeHead } from "./gateway-request.ts";
import { instanceOf, resourcesIn, toProblem } from "./problem.ts";
import { vary } from "./response-head.ts";
import type { CursorSigner } from "./signed-cursors.ts";

/** Characters of a `Link`: clients refuse heads of more than 16 kB. */
const MAX_LINK_LENGTH = 4096;

/** What a success says: the parts of it that are the same for each client that may see it. */
export interface Answer {
  /** JSON; null for none. */
  body: string | null;
  /** The entity tag of a versioned resource. */
  etag?: string;
  /** The next page (RFC 8288). */
  link?: string;
  /** The path of what a 201 created. */
  location?: string;
}

/** Makes the answer of what an action returned, as the table says (docs/reference.md, Conventions). */
export function makeAnswer(exchange: Exchange, result: unknown, cursors: CursorSigner): Answer {
  const { request, route, mount, path } = exchange;
  const answer: Answer = { body: null };
  if (route.location !== undefined)
    answer.location = mount + route.location(result as Record<string, string>, path);
  if (result === undefined || result === null || route.status === 204) return answer;
  if (request.page === undefined) answer.body = isJsonText(result) ? result.$json : JSON.stringify(result);
  else Object.assign(answer, pageAnswer(result as AnyPage, request, cursors));
  if (route.versioned === true) answer.etag = entityTag(result, route.method === "GET" ? answer.body : null);
  return answer;
}

/** Sends an answer, or 304 where the client has it already. @throws Problem malformed-request for an invalid If-None-Match */
export function sendAnswer({ ctx, request, response, route }: Exchange, answer: Answer): void {
  const { head, method, headers } = request;
  const { body, etag, link, location } = answer;
  const isRead = route.method === "GET";
  // Before any header is set: it throws.
  const isKnown = isRead && etag !== undefined && isFresh(headers["if-none-match"], etag);
  head["Cache-Control"] = "no-store";
  if (ctx.meta.replayed === true && headers["idempotency-key"] !== undefined)
    head["Idempotency-Replayed"] = "true";
  if (location !== undefined) head.Location = location;
  if (link !== undefined) head.Link = link;
  if (etag !== undefined) {
    head.ETag = etag;
    if (isRead) {
      // The client may store it, and revalidates it before each use (RFC 9111 §5.2.2.4).
      head["Cache-Control"] = "private, no-cache";
      vary(head, "Authorization");
    }
  }
  Object.assign(head, ctx.meta.$responseHeaders);
  if (response.headersSent) return;
  if (body === null || isKnown) {
    // A 204 and a 304 have no body by their status, and say nothing of its length (RFC 9110 §8.6).
    if (!isKnown && route.status !== 204) head["Content-Length"] = "0";
    writeHead(request, response, isKnown ? 304 : route.status);
    response.end();
    return;
  }
  head["Content-Type"] = "application/json; charset=utf-8";
  head["Content-Length"] = String(Buffer.byteLength(body));
  writeHead(request, response, route.status);
  response.end(method === "HEAD" ? undefined : body);
}

/** Sends a response that goes on until `body` ends, or its head alone. */
export function sendStream(
  { ctx, request, response, route }: Exchange,
  type: string,
  body: Readable | null,
): void {
  if (response.headersSent) return;
  request.head["Cache-Control"] = "no-store";
  request.head["Content-Type"] = type;
  writeHead(request, response, route.status);
  // The pipeline alone listens to six.
  response.setMaxListeners(20);
  if (body === null || request.method === "HEAD") response.end();
  // A body that fails cuts the connection: its client sees that the rest is missing.
  else
    pipeline(body, response, (error) => {
      if (error && error.code !== "ERR_STREAM_PREMATURE_CLOSE")
        ctx.broker.logger.warn("a response was cut", error);
    });
}

type AnyPage = Page<unknown> | EventPage | JsonText;

/** The page with its cursor signed, and a link to the next one. */
function pageAnswer(page: AnyPage, request: Request, cursors: CursorSigner): Pick<Answer, "body" | "link"> {
  const { scope, query } = request.page as NonNullable<Request["page"]>;
  const linkTo = (next: Record<string, string>): { link?: string } => {
    const { offset: _offset, ...rest } = query;
    const [path] = (request.url ?? "/").split("?", 1);
    const link = `<${path}?${new URLSearchParams({ ...rest, ...next }).toString()}>; rel="next"`;
    // Without the header the client still has `next_cursor` in the body.
    return link.length <= MAX_LINK_LENGTH ? { link } : {};
  };
  if ("head" in page) {
    const last = page.items.at(-1)?.seq;
    const more = last !== undefined && last < page.head ? linkTo({ after: page.next }) : {};
    return { body: JSON.stringify(page), ...more };
  }
  const { next_cursor: position = null } = page;
  const cursor = position === null ? null : cursors.sign(position, scope);
  return {
    body: isJsonText(page)
      ? `${page.$json.slice(0, -1)},"next_cursor":${JSON.stringify(cursor)}}`
      : JSON.stringify({ ...page, next_cursor: cursor }),
    ...(cursor !== null && linkTo({ cursor })),
  };
}

/** Sends an error as a problem document (RFC 9457): the one place where an error becomes a response. */
export function sendProblem(log: Log<"error">, request: Request, response: ServerResponse, error: unknown) {
  const { head, route } = request;
  const origin = {
    method: request.method ?? "GET",
    path: resourcesIn(route?.path ?? "", request.found?.params ?? {}),
  };
  const problem = toProblem(error, origin);
  const code = problemCode(problem) ?? "internal-error";
  const { status } = PROBLEMS[code];
  const isWrong =
    code === "invalid-credentials" || problem.data.errors?.some(({ code }) => code === "wrong") === true;
  if (!isWrong) request.loginAttempt?.undecided();
  const { resource, errors, results, headers = {} } = problem.data;
  if (code === "internal-error") log.error({ action: route?.action }, "a request failed", error);
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const document = problemDocument(code, problem.message, {
    instance: instanceOf(request.url ?? "/"),
    request_id: request.requestId,
    ...(resource && { resource }),
    ...(errors && { errors }),
    ...(results && { results }),
  });
  const body = JSON.stringify(document);
  // RFC 9110 §15.5.2: a 401 always says how to authenticate.
  if (status === 401) Object.assign(head, challenge().headers);
  // docs/reference.md, Errors: the client learns when to try again; the problem's own headers come later and win.
  if ([429, 503, 504].includes(status)) head["Retry-After"] = "1";
  Object.assign(head, headers, {
    "Content-Type": "application/problem+json; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(body)),
    "Cache-Control": "no-store",
  });
  writeHead(request, response, status);
  response.end(request.method === "HEAD" ? undefined : body);
}
