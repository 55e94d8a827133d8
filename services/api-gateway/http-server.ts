import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  ServerResponse,
  type ServerOptions,
} from "node:http";
import type { Duplex } from "node:stream";
import { problemDocument, type ProblemCode, PROBLEMS } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { normalizeAddress } from "../../core/client-address.ts";
import { Connections } from "./connections.ts";

const WEBSOCKET_PATH = /^\/ws\/?(?:\?|$)/;

/** Milliseconds in which the head of a request arrives, from its first byte or from the connection's beginning. */
const HEAD_WITHIN_MS = 5000;
/** Milliseconds in which the whole request arrives. */
const BODY_WITHIN_MS = 10_000;
/** Milliseconds that a refused client has to take the answer. */
const LINGER_MS = 1000;
/** Milliseconds between two looks at which request is late. */
const LOOK_MS = 1000;

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
  // A connection that ends while its client still sends is reset, and the answer lost.
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}

export interface HttpServerSettings {
  /** Sent also with the answers that have no response object. */
  securityHeaders: Record<string, string>;
  /** Seconds that an idle connection is kept for the next request. */
  keepAliveSeconds: number;
  /** Connections of one address; 0 for no bound. */
  connectionsPerAddress: number;
  /** Bits of an IPv6 address that name one client. */
  ipv6Prefix: number;
}

/** The HTTP server under the gateway, with problems where Node's own answers would have no body, and its connections. */
export function createHttpServer(
  listener: RequestListener,
  { securityHeaders, keepAliveSeconds, connectionsPerAddress, ipv6Prefix }: HttpServerSettings,
): { server: Server; connections: Connections } {
  const connections = new Connections({
    perAddress: connectionsPerAddress,
    addressOf: ({ remoteAddress = "" }) => normalizeAddress(remoteAddress, ipv6Prefix) ?? "unknown",
    isPush: ({ url = "" }) => WEBSOCKET_PATH.test(url),
    refuse: (socket) => {
      const detail = `An address can have at most ${connectionsPerAddress} open connections`;
      refuse(socket, "rate-limited", detail, { ...securityHeaders, "Retry-After": "1" });
    },
  });
  /** What a connection answers at present: an error of the next request must not speak into it. */
  const answering = new WeakMap<Duplex, ServerResponse>();

  /** Also for requests that the notifier takes before any listener of ours. */
  class WatchedResponse<Request extends IncomingMessage> extends ServerResponse<Request> {
    constructor(request: Request, options?: object) {
      super(request, ...([options] as unknown as []));
      answering.set(request.socket, this);
      connections.begin(request, this);
    }
  }

  const server = createServer(
    {
      ServerResponse: WatchedResponse,
      keepAliveTimeout: keepAliveSeconds * 1000,
      headersTimeout: HEAD_WITHIN_MS,
      requestTimeout: BODY_WITHIN_MS,
      connectionsCheckingInterval: LOOK_MS,
      // The listener answers a missing Host by a problem.
      requireHostHeader: false,
      // Other offers to upgrade are passed over, as RFC 9110 §7.8 allows, instead of ending the connection.
      shouldUpgradeCallback: ({ url = "", headers }: IncomingMessage) =>
        headers.upgrade?.toLowerCase() === "websocket" && WEBSOCKET_PATH.test(url),
    } as ServerOptions<typeof IncomingMessage, typeof ServerResponse>,
    (request, response) => {
      if (connections.serves(request)) return listener(request, response);
      request.socket.destroySoon();
    },
  );
  connections.watch(server);
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    const { headersSent = false, writableFinished = false } = answering.get(socket) ?? {};
    if (error.code === "ECONNRESET" || !socket.writable || (headersSent && !writableFinished))
      socket.destroy();
    else if (error.code === "HPE_HEADER_OVERFLOW")
      refuse(socket, "headers-too-large", "The headers can have at most 16 KiB", securityHeaders);
    else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT")
      refuse(socket, "request-timeout", "The request did not arrive in time", securityHeaders);
    else refuse(socket, "malformed-request", "This is not a valid HTTP request", securityHeaders);
  });
  // With a listener Node leaves the answer to us: the gateway's own refuses every expectation but 100-continue.
  server.on("checkExpectation", listener);
  return { server, connections };
}
