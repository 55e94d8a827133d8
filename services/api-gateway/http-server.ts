import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { Duplex } from "node:stream";
import { problemDocument, type ProblemCode, PROBLEMS } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";

const WEBSOCKET_PATH = /^\/ws\/?(?:\?|$)/;

/** What Node's parser refuses before there is a request, as a problem like any other. */
function refuse(socket: Duplex, code: ProblemCode, detail: string, headers: Record<string, string>): void {
  const { status, title } = PROBLEMS[code];
  const requestId = newId();
  const body = JSON.stringify(problemDocument(code, detail, { instance: "/", request_id: requestId }));
  const lines = {
    ...headers,
    "Content-Type": "application/problem+json; charset=utf-8",
    "Content-Length": String(Buffer.byteLength(body)),
    "Cache-Control": "no-store",
    "X-Request-ID": requestId,
    "X-Process-Time": "0.00ms",
    Connection: "close",
  };
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}`);
  socket.end([`HTTP/1.1 ${status} ${title}`, ...head, "", body].join("\r\n"));
}

/**
 * The HTTP server under the gateway, with problems where Node's own answers would have no body.
 * @param securityHeaders sent also with those
 */
export function createHttpServer(listener: RequestListener, securityHeaders: Record<string, string>): Server {
  const server = createServer(
    {
      // The listener answers a missing Host by a problem.
      requireHostHeader: false,
      // Other offers to upgrade are passed over, as RFC 9110 §7.8 allows, instead of ending the connection.
      shouldUpgradeCallback: ({ url = "", headers }: IncomingMessage) =>
        headers.upgrade?.toLowerCase() === "websocket" && WEBSOCKET_PATH.test(url),
    },
    listener,
  );
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    if (error.code === "ECONNRESET" || !socket.writable) socket.destroy();
    else if (error.code === "HPE_HEADER_OVERFLOW")
      refuse(socket, "headers-too-large", "The headers may have 16 KiB at the most", securityHeaders);
    else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT")
      refuse(socket, "request-timeout", "The request did not arrive in time", securityHeaders);
    else refuse(socket, "malformed-request", "This is no HTTP request", securityHeaders);
  });
  // With a listener Node leaves the answer to us: the gateway's own refuses every expectation but 100-continue.
  server.on("checkExpectation", listener);
  return server;
}
