/**
 * The way in to the sockets over HTTP: `/ws`, with or without a slash at its end. Answers carry the headers that all
 * others of the server carry, refusals are problems, and who has not said yet who they are is counted.
 */
import { createServer, type IncomingMessage, type Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import cors from "cors";
import type { Socket } from "socket.io";
import { clientAddress } from "../../core/client-address.ts";
import type { Config } from "../../core/config.ts";
import {
  Problem,
  problemCode,
  problemDocument,
  type ProblemCode,
  PROBLEMS,
  retryLater,
} from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import { SECURITY_HEADERS } from "../../core/security-headers.ts";
import { guardFrames } from "./frames.ts";
import { answeredOn, watchBacklog } from "./slow-client.ts";
import type { PushServer } from "./streams.ts";

/** Milliseconds that a refused client has to take the answer. */
const LINGER_MS = 1000;

/** Connections that have not said who they are: of one address, and of this node. */
const MAX_UNKNOWN_OF_ADDRESS = 100;
const MAX_UNKNOWN = 2000;

const TRANSPORTS = ["polling", "websocket"];

type EngineRequest = IncomingMessage & { _query: Record<string, string> };
interface Engine {
  clients: Record<string, Socket["conn"]>;
  use(middleware: (request: EngineRequest, response: ServerResponse, next: () => void) => void): void;
  on(event: "connection", listener: (conn: Socket["conn"]) => void): void;
  on(event: "headers", listener: (headers: object, request: EngineRequest) => void): void;
}

/** Codes of what engine.io itself refuses. */
const CODES: Record<number, ProblemCode> = { 403: "forbidden", 413: "payload-too-large" };

const requestIdOf = ({ headers }: IncomingMessage): string => {
  const own = headers["x-request-id"];
  return typeof own === "string" && /^[A-Za-z0-9._-]{1,128}$/.test(own) ? own : newId();
};

/** Status line, headers and body of a refusal. */
function refusal(problem: Problem, requestId: string): { headers: Record<string, string>; body: string } {
  const code = problemCode(problem) ?? "internal-error";
  const body = JSON.stringify(
    problemDocument(code, problem.message, { instance: "/ws", request_id: requestId }),
  );
  return {
    body,
    headers: {
      ...problem.data.headers,
      "Content-Type": "application/problem+json; charset=utf-8",
      "Content-Length": String(Buffer.byteLength(body)),
      "Cache-Control": "no-store",
    },
  };
}

/** Refuses on a bare connection, where there is no response to write to. */
function refuseConnection(connection: Duplex, problem: Problem, requestId: string): void {
  const { headers, body } = refusal(problem, requestId);
  const { status, title } = PROBLEMS[problemCode(problem) ?? "internal-error"];
  const lines = {
    ...SECURITY_HEADERS,
    ...headers,
    "X-Request-ID": requestId,
    "X-Process-Time": "0.00ms",
    Connection: "close",
  };
  const head = Object.entries(lines).map(([name, value]) => `${name}: ${value}`);
  connection.end([`HTTP/1.1 ${status} ${title}`, ...head, "", body].join("\r\n"));
  // A client that does not close in turn would hold the connection for good.
  const timer = setTimeout(() => connection.destroy(), LINGER_MS);
  connection.once("close", () => clearTimeout(timer));
}

/** Gives a response the headers of all others, and engine.io's bare refusals a body. */
function dress(request: IncomingMessage, response: ServerResponse): void {
  const began = performance.now();
  const requestId = requestIdOf(request);
  response.setHeader("X-Request-ID", requestId);
  const writeHead = response.writeHead.bind(response) as (status: number, headers?: object) => ServerResponse;
  response.writeHead = ((status: number, headers: object = {}) => {
    response.setHeader("X-Process-Time", `${(performance.now() - began).toFixed(2)}ms`);
    if (status < 400 || response.hasHeader("Content-Type")) return writeHead(status, headers);
    const refused = refusal(new Problem(CODES[status] ?? "malformed-request"), requestId);
    const end = response.end.bind(response) as (body: string) => ServerResponse;
    response.end = () => end(refused.body);
    return writeHead(status, refused.headers);
  }) as ServerResponse["writeHead"];
}

function refuseRequest(request: IncomingMessage, response: ServerResponse, problem: Problem): void {
  const { headers, body } = refusal(problem, String(response.getHeader("X-Request-ID")));
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.writeHead(problem.code).end(body);
  // What a refused client still sends is not read.
  if (!request.complete) response.once("finish", () => request.destroy());
}

/** What Node's parser refuses before there is a request. */
const UNPARSED: Record<string, Problem> = {
  HPE_HEADER_OVERFLOW: new Problem("headers-too-large", "The headers may have 16 KiB at the most"),
  ERR_HTTP_REQUEST_TIMEOUT: new Problem("request-timeout", "The request did not arrive in time"),
};
const UNREADABLE = new Problem("malformed-request", "This is no HTTP request");

/** Milliseconds in which the head of a request arrives, and in which all of it does. */
const HEAD_WITHIN_MS = 5000;
const BODY_WITHIN_MS = 10_000;

/** The server of a node without a gateway: there is nothing but sockets on it. */
export function createSocketServer(): Server {
  const options = {
    headersTimeout: HEAD_WITHIN_MS,
    requestTimeout: BODY_WITHIN_MS,
    connectionsCheckingInterval: 1000,
    shouldUpgradeCallback: ({ url = "", headers }: IncomingMessage) =>
      headers.upgrade?.toLowerCase() === "websocket" && /^\/ws\/?(?:\?|$)/.test(url),
  };
  const server = createServer(options, (request, response) => {
    for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
    dress(request, response);
    refuseRequest(request, response, new Problem("not-found", "There is nothing at this path"));
  });
  server.on("clientError", ({ code }: NodeJS.ErrnoException, connection) => {
    if (code === "ECONNRESET" || !connection.writable) connection.destroy();
    else refuseConnection(connection, UNPARSED[code ?? ""] ?? UNREADABLE, newId());
  });
  return server;
}

export class Door {
  readonly #config: Pick<Config, "TRUST_PROXY" | "IPV6_PREFIX">;
  readonly #origins: string[];
  readonly #counts: boolean;
  /** Connections that have not said who they are, and their addresses. */
  readonly #unknown = new Map<Socket["conn"], string>();
  readonly #ofAddress = new Map<string, number>();
  #shut = false;

  constructor(config: Config) {
    this.#config = config;
    this.#origins = config.CORS_ORIGINS;
    this.#counts = config.RATE_LIMIT === "on";
  }

  /** Serves sockets on a server, beside what it serves already. */
  open(io: PushServer, server: Server): void {
    io.attach(server);
    // Before engine.io looks at it, which knows the path with its slash alone.
    const normalize = (request: IncomingMessage) => {
      request.url = request.url?.replace(/^\/ws(?=\?|$)/, "/ws/");
    };
    server.prependListener("request", normalize);
    server.prependListener("upgrade", normalize);

    const engine = io.engine as unknown as Engine;
    const allowOrigins = cors({ origin: this.#origins.includes("*") ? "*" : this.#origins });
    engine.use((request, response, next) => {
      for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
      if (response instanceof ServerResponse) dress(request, response);
      allowOrigins(request, response, next);
    });
    engine.use((request, response, next) => {
      const problem = this.#refuse(request, engine, response instanceof ServerResponse);
      if (problem === null) next();
      else if (response instanceof ServerResponse) refuseRequest(request, response, problem);
      else refuseConnection(request.socket, problem, requestIdOf(request));
    });
    engine.on("connection", (conn) => {
      watchBacklog(conn);
      guardFrames(conn);
      this.#enter(conn);
    });
    engine.on("headers", (_headers, request) => {
      const conn = engine.clients[request._query.sid ?? ""];
      if (conn !== undefined && request.method === "GET") answeredOn(conn, request.socket);
    });
  }

  /** Takes nobody in any more; who is inside stays. */
  shut(): void {
    this.#shut = true;
  }

  /** A connection said who it is, or is gone. */
  known(conn: Socket["conn"]): void {
    const address = this.#unknown.get(conn);
    if (address === undefined) return;
    this.#unknown.delete(conn);
    const left = (this.#ofAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#ofAddress.delete(address);
    else this.#ofAddress.set(address, left);
  }

  #enter(conn: Socket["conn"]): void {
    const address = clientAddress(conn.request, this.#config);
    this.#unknown.set(conn, address);
    this.#ofAddress.set(address, (this.#ofAddress.get(address) ?? 0) + 1);
    conn.once("close", () => this.known(conn));
  }

  /** Why a request is refused, by the rules of engine.io's protocol 4 and by ours; null when it is not. */
  #refuse(request: EngineRequest, { clients }: Engine, isPlain: boolean): Problem | null {
    const { _query: query, url = "", method = "" } = request;
    const malformed = (detail: string): Problem => new Problem("malformed-request", detail);
    if (!/^\/ws\/(?:\?|$)/.test(url)) return new Problem("not-found", "There is nothing at this path");
    if (method !== "GET" && method !== "POST")
      return new Problem("method-not-allowed", `${method} is not one of GET, POST`, {
        headers: { Allow: "GET, POST, OPTIONS" },
      });
    if (query.EIO !== "4") return malformed("Connect by socket.io 4, whose requests say EIO=4");
    if (query.j !== undefined) return malformed("JSONP is not served");
    if (!TRANSPORTS.includes(query.transport ?? "")) return malformed("transport is polling or websocket");
    if (isPlain && query.transport === "websocket")
      return malformed("A WebSocket begins with an upgrade of the connection");
    if (query.sid !== undefined) {
      const conn = Object.hasOwn(clients, query.sid) ? clients[query.sid] : undefined;
      if (conn === undefined) return malformed("This connection has ended: connect again");
      return isPlain && conn.transport.name !== query.transport
        ? malformed("This connection goes by WebSocket already")
        : null;
    }
    if (method !== "GET") return malformed("A connection begins with GET");
    return this.#refuseNew(clientAddress(request, this.#config));
  }

  #refuseNew(address: string): Problem | null {
    if (this.#shut) return retryLater("service-unavailable", "This node is stopping");
    if (this.#unknown.size >= MAX_UNKNOWN) return retryLater("overloaded");
    if (this.#counts && (this.#ofAddress.get(address) ?? 0) >= MAX_UNKNOWN_OF_ADDRESS)
      return retryLater("rate-limited", "Too many connections of your address wait for a token");
    return null;
  }
}
