/** HTTP responses: of a success, by what the action returned, and of an error, by a problem. */
import type { ServerResponse } from "node:http";
import type { Context } from "moleculer";
import { PROBLEMS, problemCode, problemDocument } from "../../core/errors.ts";
import type { EventPage } from "../../core/events.ts";
import type { Meta } from "../../core/kit.ts";
import type { Log } from "../../core/log.ts";
import type { Page } from "../../core/pagination.ts";
import { challenge } from "./authenticate.ts";
import { entityTag, isFresh } from "./conditional.ts";
import type { CursorSigner } from "./signed-cursors.ts";
import { instanceOf, resourcesIn, toProblem } from "./problem.ts";
import type { Route } from "./routes.ts";
import type { Request } from "./moleculer-web.ts";

/** Characters of a `Link`: clients refuse heads of more than 16 kB. */
const MAX_LINK_LENGTH = 4096;

/**
 * Status, headers and body of a success, as the table says (docs/reference.md, Conventions).
 * @returns the body as JSON; null for none
 */
export function successBody(
  ctx: Context<unknown, Meta & { $location?: string; $responseType?: string }>,
  route: Route,
  request: Request,
  response: ServerResponse,
  result: unknown,
  cursors: CursorSigner,
): string | null {
  response.statusCode = route.status;
  response.setHeader("Cache-Control", "no-store");
  if (ctx.meta.replayed === true && request.headers["idempotency-key"] !== undefined)
    response.setHeader("Idempotency-Replayed", "true");
  if (route.location !== undefined) {
    const prefix = request.baseUrl === "/" ? "" : request.baseUrl;
    const location = route.location(result as Record<string, string>, request.pathParams ?? {});
    ctx.meta.$location = `${prefix}${location}`;
  }
  if (result === undefined || result === null || route.status === 204) return null;
  const document =
    request.page === undefined ? result : linkNext(result as Page<unknown>, request, response, cursors);
  const body = JSON.stringify(document);
  if (route.versioned === true) {
    const isRead = route.method === "GET";
    const tag = entityTag(result, isRead ? body : null);
    // Before any header is set: it throws for an If-None-Match that cannot be parsed.
    const fresh = isRead && isFresh(request.ifNoneMatch, tag);
    response.setHeader("ETag", tag);
    if (isRead) {
      // The client may store it, and revalidates it before each use (RFC 9111 §5.2.2.4).
      response.setHeader("Cache-Control", "private, no-cache");
      response.appendHeader("Vary", "Authorization");
      if (fresh) {
        response.statusCode = 304;
        return null;
      }
    }
  }
  ctx.meta.$responseType = "application/json; charset=utf-8";
  return body;
}

/** Signs a page's cursor, and links to the next page (RFC 8288). */
function linkNext(
  page: Page<unknown> | EventPage,
  { page: asked, originalUrl = "" }: Request,
  response: ServerResponse,
  cursors: CursorSigner,
): object {
  const { scope, query } = asked as NonNullable<Request["page"]>;
  const link = (next: Record<string, string>) => {
    const { offset: _offset, ...rest } = query;
    const path = originalUrl.split("?")[0] as string;
    const value = `<${path}?${new URLSearchParams({ ...rest, ...next }).toString()}>; rel="next"`;
    // Without the header the client still has `next_cursor` in the body.
    if (value.length <= MAX_LINK_LENGTH) response.setHeader("Link", value);
  };
  if ("head" in page) {
    const last = page.items.at(-1)?.seq;
    if (last !== undefined && last < page.head) link({ after: page.next });
    return page;
  }
  if (page.next_cursor === null) return page;
  const cursor = cursors.sign(page.next_cursor, scope);
  link({ cursor });
  return { ...page, next_cursor: cursor };
}

/** Sends an error as a problem document (RFC 9457): the one place where an error becomes a response. */
export function sendProblem(log: Log<"error">, request: Request, response: ServerResponse, error: unknown) {
  const origin = {
    method: request.method ?? "GET",
    path: resourcesIn(request.$alias?.path ?? "", request.pathParams ?? {}),
  };
  const problem = toProblem(error, origin);
  const code = problemCode(problem) ?? "internal-error";
  const { status } = PROBLEMS[code];
  const isWrong =
    code === "invalid-credentials" || problem.data.errors?.some(({ code }) => code === "wrong") === true;
  if (!isWrong) request.loginAttempt?.undecided();
  const { resource, errors, results, headers = {} } = problem.data;
  if (code === "internal-error") {
    log.error({ action: request.$alias?.action }, "a request failed", error);
  }
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const document = problemDocument(code, problem.message, {
    instance: instanceOf(request.originalUrl ?? request.url ?? "/"),
    request_id: request.requestId,
    ...(resource && { resource }),
    ...(errors && { errors }),
    ...(results && { results }),
  });
  // RFC 9110 §15.5.2: a 401 always says how to authenticate.
  if (status === 401) response.setHeader("WWW-Authenticate", challenge().headers["WWW-Authenticate"]);
  // docs/reference.md, Errors: the client learns when to try again; the problem's own headers come later and win.
  if ([429, 503, 504].includes(status)) response.setHeader("Retry-After", "1");
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.writeHead(status, {
    "Content-Type": "application/problem+json; charset=utf-8",
    "Cache-Control": "no-store",
  });
  response.end(request.method === "HEAD" ? undefined : JSON.stringify(document));
}
