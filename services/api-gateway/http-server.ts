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

/** Milliseconds in which the head of a request must arrive, after its first byte or after the connection opened. */
const HEAD_WITHIN_MS = 5000;
/** Milliseconds in which the whole request must arrive. */
const BODY_WITHIN_MS = 10_000;
/** Milliseconds in which a refused client must read the response. */
const LINGER_MS = 1000;
/** Milliseconds between two checks for late requests. */
const CHECK_MS = 1000;

/** Sends a problem where Node refuses a request before there is a request object. */
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
  // To close the connection while its client still sends would reset it, and lose the response.
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once("close", () => clearTimeout(timer));
}

export interface HttpServerSettings {
  /** Also sent with responses that have no response object. */
  securityHeaders: Record<string, string>;
  /** Seconds that an idle connection stays open for the next request. */
  keepAliveSeconds: number;
  /** Maximum connections of one address; 0: no maximum. */
  connectionsPerAddress: number;
  /** Bits of an IPv6 address that identify one client. */
  ipv6Prefix: number;
}

/** The HTTP server of the gateway and its connections. It sends problems where Node's own responses have no body. */
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
  /** The response in progress on a connection: an error of the next request must not write into it. */
  const inProgress = new WeakMap<Duplex, ServerResponse>();

  /** Also sees requests that the notifier takes before the gateway's listener. */
  class WatchedResponse<Request extends IncomingMessage> extends ServerResponse<Request> {
    constructor(request: Request, options?: object) {
      super(request, ...([options] as unknown as []));
      inProgress.set(request.socket, this);
      connections.begin(request, this);
    }
  }

  const server = createServer(
    {
      ServerResponse: WatchedResponse,
      keepAliveTimeout: keepAliveSeconds * 1000,
      headersTimeout: HEAD_WITHIN_MS,
      requestTimeout: BODY_WITHIN_MS,
      connectionsCheckingInterval: CHECK_MS,
      // A step of the gateway refuses a missing Host with a problem.
      requireHostHeader: false,
      // Other upgrades are ignored, as RFC 9110 §7.8 allows: Node would end the connection.
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
    const { headersSent = false, writableFinished = false } = inProgress.get(socket) ?? {};
    if (error.code === "ECONNRESET" || !socket.writable || (headersSent && !writableFinished))
      socket.destroy();
    else if (error.code === "HPE_HEADER_OVERFLOW")
      refuse(socket, "headers-too-large", "The headers can have at most 16 KiB", securityHeaders);
    else if (error.code === "ERR_HTTP_REQUEST_TIMEOUT")
      refuse(socket, "request-timeout", "The request did not arrive in time", securityHeaders);
    else refuse(socket, "malformed-request", "This is not a valid HTTP request", securityHeaders);
  });
  // With this listener Node sends no response: a step refuses every expectation but 100-continue.
  server.on("checkExpectation", listener);
  return { server, connections };
}
