import { createServer, type IncomingMessage, type Server } from "node:http";
import type { Config } from "../../core/config.ts";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { SECURITY_HEADERS } from "../../core/security-headers.ts";
import { refuseConnection, refuseRequest, setCommonHeaders } from "./refusals.ts";

/** Milliseconds in which a request's headers must arrive, and in which all of the request must. */
const HEADERS_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 10_000;
/** Milliseconds between two checks for requests that are late. */
const TIMEOUT_CHECK_MS = 1000;

/** Refusals of Node's HTTP parser, by its error codes. */
const PARSE_PROBLEMS: Record<string, Problem> = {
  HPE_HEADER_OVERFLOW: new Problem("headers-too-large", "The headers can have at most 16 KiB"),
  ERR_HTTP_REQUEST_TIMEOUT: new Problem("request-timeout", "The request did not arrive in time"),
};
const NOT_HTTP = new Problem("malformed-request", "This is not a valid HTTP request");

/** The server of a node without a gateway: it serves sockets alone. */
export function createSocketServer({ KEEP_ALIVE_SECONDS }: Pick<Config, "KEEP_ALIVE_SECONDS">): Server {
  const options = {
    keepAliveTimeout: KEEP_ALIVE_SECONDS * 1000,
    headersTimeout: HEADERS_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_CHECK_MS,
    shouldUpgradeCallback: ({ url = "", headers }: IncomingMessage) =>
      headers.upgrade?.toLowerCase() === "websocket" && /^\/ws\/?(?:\?|$)/.test(url),
  };
  const server = createServer(options, (request, response) => {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
    setCommonHeaders(request, response);
    refuseRequest(request, response, new Problem("not-found", "No resource has this path"));
  });
  server.on("clientError", ({ code }: NodeJS.ErrnoException, connection) => {
    if (code === "ECONNRESET" || !connection.writable) connection.destroy();
    else refuseConnection(connection, PARSE_PROBLEMS[code ?? ""] ?? NOT_HTTP, newId());
  });
  return server;
}
