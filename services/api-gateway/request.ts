import type { IncomingMessage, ServerResponse } from "node:http";
import { isUtf8 } from "node:buffer";
import bodyParser from "body-parser";
import { parseCookie } from "cookie";
import Negotiator from "negotiator";
import onHeaders from "on-headers";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { REFRESH_COOKIE } from "../auth/auth.contract.ts";
import { MAX_NAME, mustBeBounded } from "./body-bounds.ts";
import { bodyPointer, brief, invalid, queryPointer, unknownField } from "./problem.ts";

/** Bytes. */
const MAX_BODY = 1024 * 1024;
const MAX_PARAMETERS = 100;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json(?:\s*;|$)/i;

const parseJson = bodyParser.json({
  limit: MAX_BODY,
  type: () => true,
  strict: false,
  verify: (_request, _response, body) => {
    // RFC 8259 §8.1. Decoding would put question marks for what it doesn't know.
    if (!isUtf8(body)) throw new Error("not UTF-8");
    mustBeBounded(body);
  },
});

/** W3C Trace Context §3.2.2, and of later versions the part that this one knows; all zeros is no id. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;

/** The trace that a request belongs to; null where it names none that parses (§4.3: then it is passed over). */
export function traceparentOf({ headers }: Pick<IncomingMessage, "headers">): string | null {
  const { traceparent } = headers;
  if (typeof traceparent !== "string" || !TRACEPARENT.test(traceparent)) return null;
  return traceparent.startsWith("00-") && traceparent.length !== 55 ? null : traceparent.slice(0, 55);
}

/** Gives a request its id, the client's own when that is fit to be logged, and each answer the headers that tell it and the time it took. */
export function identify(request: IncomingMessage, response: ServerResponse): string {
  const started = performance.now();
  const given = request.headers["x-request-id"];
  const id = typeof given === "string" && REQUEST_ID.test(given) ? given : newId();
  response.setHeader("X-Request-ID", id);
  onHeaders(response, () => {
    response.setHeader("X-Process-Time", `${(performance.now() - started).toFixed(2)}ms`);
  });
  return id;
}

/**
 * Whether a body in chunks ends before its first byte (RFC 9112 §7.1). What came is put back, for whoever reads the body.
 * @throws http-errors' `request.aborted` when the client hangs up meanwhile
 */
async function endsAtOnce(request: IncomingMessage): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>();
  const onEnd = (): void => resolve(true);
  const onReadable = (): void => {
    const first = request.read() as Buffer | null;
    if (first !== null) request.unshift(first);
    resolve(first === null);
  };
  const onClose = (): void => reject(Object.assign(new Error("aborted"), { type: "request.aborted" }));
  request.once("readable", onReadable).once("end", onEnd).once("error", onClose).once("close", onClose);
  try {
    return await promise;
  } finally {
    request.off("readable", onReadable).off("end", onEnd).off("error", onClose).off("close", onClose);
  }
}

/**
 * The body as JSON; undefined when there is none, however it is framed.
 * @throws Problem unsupported-media-type; http-errors of body-parser for what does not parse or is too large
 */
export async function readBody(request: IncomingMessage, response: ServerResponse): Promise<unknown> {
  const { headers } = request;
  const empty =
    headers["transfer-encoding"] === undefined
      ? Number(headers["content-length"] ?? 0) === 0
      : await endsAtOnce(request);
  if (empty) return undefined;
  const [, charset] = /;\s*charset="?([^\s;"]*)/i.exec(headers["content-type"] ?? "") ?? [];
  if (!JSON_TYPE.test(headers["content-type"] ?? "") || !/^utf-8$/i.test(charset ?? "utf-8"))
    throw new Problem("unsupported-media-type", "Send the body as Content-Type: application/json, in UTF-8");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  parseJson(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
  await promise.catch((error: unknown) => {
    // zlib's own errors: body-parser gives them no type.
    if (/^(Z|ZSTD_error|ERR)_/.test(String((error as NodeJS.ErrnoException).code)))
      throw new Problem("malformed-request", "The body cannot be decompressed");
    throw error;
  });
  return (request as { body?: unknown }).body;
}

/** Answers are JSON. @throws Problem not-acceptable for who does not want that (RFC 9110 §12.5.1) */
export function mustBeAcceptable(request: Pick<IncomingMessage, "headers">): void {
  if (request.headers.accept === undefined) return;
  if (new Negotiator(request).mediaType(["application/json; charset=utf-8"]) === undefined)
    throw new Problem("not-acceptable");
}

/**
 * In cookie mode the refresh token comes in its cookie, and its successor goes there (docs/reference.md, Cookie mode). A browser sends
 * the cookie by itself, so the page that asks has to be one that may.
 * @param origins that may act by cookie
 * @throws Problem forbidden for a page of another origin
 */
export function withRefreshCookie(
  params: Record<string, unknown>,
  { headers }: Pick<IncomingMessage, "headers">,
  origins: readonly string[],
): Record<string, unknown> {
  if (params.refresh_token !== undefined) return params;
  const token = parseCookie(headers.cookie ?? "")[REFRESH_COOKIE];
  if (token === undefined) return params;
  if (!isFromKnownPage(headers, origins))
    throw new Problem(
      "forbidden",
      "This origin may not use the refresh cookie: the server's CORS_ORIGINS does not list it",
    );
  return { ...params, refresh_token: token, cookie: true };
}

/**
 * Whether a request comes from a page of one of `origins` or of the API's own, or from no page at all. SameSite alone
 * lets every host of the site act. A browser says by Sec-Fetch-Site whether the origin is the API's own, whichever
 * Host a proxy passes on; an older one sends Origin alone.
 */
function isFromKnownPage(headers: IncomingMessage["headers"], origins: readonly string[]): boolean {
  const { origin, host, "sec-fetch-site": site } = headers;
  if (origin !== undefined && origins.includes(origin)) return true;
  if (site !== undefined) return site === "same-origin";
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
}

/**
 * The query's parameters; one that is repeated is an array. Without a prototype, so that no name is special.
 * @throws Problem validation-failed for more than 100 of them, and for a name that none can have
 */
export function parseQuery(url: string): Record<string, string | string[]> {
  const query = Object.create(null) as Record<string, string | string[]>;
  // A question mark may stand in a query too (RFC 3986 §3.4).
  const begin = url.indexOf("?");
  const text = begin === -1 ? "" : url.slice(begin + 1);
  // `&&` separates nothing from nothing, which is no parameter.
  if ((text.match(/&(?=[^&])/g)?.length ?? 0) >= MAX_PARAMETERS) {
    const message = `A query can have at most ${MAX_PARAMETERS} parameters.`;
    throw invalid([{ pointer: "?", code: "tooMany", message }]);
  }
  for (const [name, value] of new URLSearchParams(text)) {
    if (name.length > MAX_NAME) throw invalid([unknownField(queryPointer(name), name)]);
    const before = query[name];
    if (before === undefined) query[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else query[name] = [before, value];
  }
  return query;
}

/** An empty cursor begins at the first page. */
const MAY_BE_EMPTY = ["cursor"];

/**
 * The params of the action: a write takes them from the body, a read from the query, both the rest from the path. The
 * two are never merged, and neither can speak for the path.
 * @throws Problem validation-failed
 */
export function bindParams(
  { method = "GET" }: Pick<IncomingMessage, "method">,
  { body, query, path }: { body: unknown; query: object; path: Record<string, string> },
): Record<string, unknown> {
  const isRead = method === "GET" || method === "HEAD";
  const fields = isRead ? query : body === undefined ? {} : body;
  if (typeof fields !== "object" || fields === null || Array.isArray(fields))
    throw invalid([{ pointer: "#", code: "object", message: "The body must be a JSON object" }]);
  const stray = [
    ...Object.keys(fields)
      .filter((name) => Object.hasOwn(path, name))
      .map((name) => unknownField(isRead ? queryPointer(name) : bodyPointer("", name), name)),
    ...Object.entries(isRead ? query : {})
      .filter(([, value]) => Array.isArray(value))
      .map(([name]) => ({
        pointer: queryPointer(name),
        code: "repeated",
        message: `Give the parameter '${brief(name)}' once.`,
      })),
    // Nothing is no number: `limit=` would count as 0.
    ...Object.entries(isRead ? query : {})
      .filter(([name, value]) => value === "" && !MAY_BE_EMPTY.includes(name))
      .map(([name]) => ({
        pointer: queryPointer(name),
        code: "empty",
        message: `Give the parameter '${brief(name)}' a value, or leave it out.`,
      })),
    ...(isRead ? [] : Object.keys(query).map((name) => unknownField(queryPointer(name), name))),
  ];
  if (stray.length > 0) throw invalid(stray);
  return { ...fields, ...path };
}
