import type { IncomingMessage, ServerResponse } from "node:http";
import { isUtf8 } from "node:buffer";
import bodyParser from "body-parser";
import { parseCookie } from "cookie";
import Negotiator from "negotiator";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { REFRESH_COOKIE } from "../auth/auth.contract.ts";
import { MAX_NAME_LENGTH, mustBeBounded } from "./body-bounds.ts";
import { bodyPointer, brief, invalid, queryPointer, unknownField } from "./problem.ts";

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_PARAMETERS = 100;
const REQUEST_ID = /^[A-Za-z0-9._-]{1,128}$/;
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json(?:\s*;|$)/i;

const jsonParser = (maxFields?: number) =>
  bodyParser.json({
    limit: MAX_BODY_BYTES,
    type: () => true,
    strict: false,
    verify: (_request, _response, body) => {
      // RFC 8259 §8.1. The decoder would replace invalid bytes without an error.
      if (!isUtf8(body)) throw new Error("not UTF-8");
      mustBeBounded(body, maxFields);
    },
  });
const parseUsualJson = jsonParser();

/** The id of a request: the client's own if it is safe to log. */
export function requestIdOf({ headers }: Pick<IncomingMessage, "headers">): string {
  const given = headers["x-request-id"];
  return typeof given === "string" && REQUEST_ID.test(given) ? given : newId();
}

/**
 * Whether a chunked body is empty (RFC 9112 §7.1). The first bytes are put back for the parser.
 * @throws http-errors' `request.aborted` when the client closes the connection meanwhile
 */
async function isEmptyChunked(request: IncomingMessage): Promise<boolean> {
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
 * Reads the body as JSON; undefined for an empty body, however it is framed.
 * @param maxFields entries that an object may have, where they may be more than elsewhere
 * @throws Problem unsupported-media-type, malformed-request; http-errors of body-parser
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  maxFields?: number,
): Promise<unknown> {
  const { headers } = request;
  const empty =
    headers["transfer-encoding"] === undefined
      ? Number(headers["content-length"] ?? 0) === 0
      : await isEmptyChunked(request);
  if (empty) return undefined;
  const [, charset] = /;\s*charset="?([^\s;"]*)/i.exec(headers["content-type"] ?? "") ?? [];
  if (!JSON_TYPE.test(headers["content-type"] ?? "") || !/^utf-8$/i.test(charset ?? "utf-8"))
    throw new Problem("unsupported-media-type", "Send the body as Content-Type: application/json, in UTF-8");
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const parseJson = maxFields === undefined ? parseUsualJson : jsonParser(maxFields);
  parseJson(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
  await promise.catch((error: unknown) => {
    // body-parser gives no type to errors of zlib.
    if (/^(Z|ZSTD_error|ERR)_/.test(String((error as NodeJS.ErrnoException).code)))
      throw new Problem("malformed-request", "The body cannot be decompressed");
    throw error;
  });
  return (request as { body?: unknown }).body;
}

/** @throws Problem not-acceptable for a client that does not accept the type of the response (RFC 9110 §12.5.1) */
export function mustBeAcceptable(
  request: Pick<IncomingMessage, "headers">,
  type = "application/json; charset=utf-8",
): void {
  const { accept } = request.headers;
  if (accept === undefined || accept === "*/*") return;
  if (new Negotiator(request).mediaType([type]) === undefined) throw new Problem("not-acceptable");
}

/**
 * Takes the refresh token from its cookie, unless the body has one (docs/reference.md, Cookie mode). Browsers send the
 * cookie by themselves, so the origin of the page is checked.
 * @param origins that may use the cookie
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
 * Whether a request comes from a page of one of `origins` or of the API's own origin, or from no page at all. SameSite
 * alone would let every host of the site use the cookie. Sec-Fetch-Site tells whether the origin is the API's own, also
 * behind a proxy that changes Host; older browsers send Origin alone.
 */
function isFromKnownPage(headers: IncomingMessage["headers"], origins: readonly string[]): boolean {
  const { origin, host, "sec-fetch-site": site } = headers;
  if (origin !== undefined && origins.includes(origin)) return true;
  if (site !== undefined) return site === "same-origin";
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host);
}

/**
 * The parameters of the query; a repeated one is an array. The object has no prototype, so that no name is special.
 * @throws Problem validation-failed for too many parameters, and for a name that is too long
 */
export function parseQuery(url: string): Record<string, string | string[]> {
  const query = Object.create(null) as Record<string, string | string[]>;
  // A query may contain question marks (RFC 3986 §3.4).
  const begin = url.indexOf("?");
  const text = begin === -1 ? "" : url.slice(begin + 1);
  // `&&` has no parameter between the separators.
  if ((text.match(/&(?=[^&])/g)?.length ?? 0) >= MAX_PARAMETERS) {
    const message = `A query can have at most ${MAX_PARAMETERS} parameters.`;
    throw invalid([{ pointer: "?", code: "tooMany", message }]);
  }
  for (const [name, value] of new URLSearchParams(text)) {
    if (name.length > MAX_NAME_LENGTH) throw invalid([unknownField(queryPointer(name), name)]);
    const before = query[name];
    if (before === undefined) query[name] = value;
    else if (Array.isArray(before)) before.push(value);
    else query[name] = [before, value];
  }
  return query;
}

/** Parameters that may be empty: an empty cursor begins at the first page. */
const MAY_BE_EMPTY = ["cursor"];

/**
 * The params of the action. A write takes them from the body and the path, a read from the query and the path. Body and
 * query are never merged, and neither can set a param of the path.
 * @throws Problem validation-failed
 */
export function bindParams(
  { method = "GET" }: Pick<IncomingMessage, "method">,
  { body, query, path }: { body: unknown; query: object; path: Readonly<Record<string, string>> },
): Record<string, unknown> {
  const isRead = method === "GET" || method === "HEAD";
  const fields = isRead ? query : body === undefined ? {} : body;
  if (typeof fields !== "object" || fields === null || Array.isArray(fields))
    throw invalid([{ pointer: "#", code: "object", message: "The body must be a JSON object." }]);
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
    // An empty text is no value: `limit=` would become 0.
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
