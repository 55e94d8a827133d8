/**
 * The HTTP endpoint of the sockets: `/ws`, with or without a slash at its end. Its answers carry the headers that all
 * answers of the server carry, its refusals are problems, and it bounds the connections that have not authenticated yet.
 */
import { type IncomingMessage, type Server, ServerResponse } from "node:http";
import cors from "cors";
import type { Socket } from "socket.io";
import { clientAddress } from "../../core/client-address.ts";
import type { Config } from "../../core/config.ts";
import { Problem, retryLater } from "../../core/errors.ts";
import { SECURITY_HEADERS } from "../../core/security-headers.ts";
import { writeTogether } from "./frames.ts";
import { Heartbeat } from "./heartbeat.ts";
import { limitInbound } from "./inbound-limits.ts";
import { refuseConnection, refuseRequest, requestIdOf, setCommonHeaders } from "./refusals.ts";
import { answeredOn, mayWait } from "./slow-client.ts";
import type { PushServer } from "./sockets.ts";

/** Connections that have not authenticated yet: of one address, and of this node. */
const MAX_UNAUTHENTICATED_OF_ADDRESS = 100;
const MAX_UNAUTHENTICATED = 2000;

const TRANSPORTS = ["polling", "websocket"];

type EngineRequest = IncomingMessage & { _query: Record<string, string> };
interface Engine {
  clients: Record<string, Socket["conn"]>;
  use(middleware: (request: EngineRequest, response: ServerResponse, next: () => void) => void): void;
  on(event: "connection" | "flush", listener: (conn: Socket["conn"]) => void): void;
  on(event: "headers", listener: (headers: object, request: EngineRequest) => void): void;
}

export class SocketEndpoint {
  readonly #config: Pick<Config, "TRUST_PROXY" | "IPV6_PREFIX">;
  readonly #origins: string[];
  readonly #isLimited: boolean;
  /** Connections that have not authenticated yet, with their addresses. */
  readonly #unauthenticated = new Map<Socket["conn"], string>();
  readonly #ofAddress = new Map<string, number>();
  readonly #heartbeat = new Heartbeat();
  #isClosed = false;

  constructor(config: Config) {
    this.#config = config;
    this.#origins = config.CORS_ORIGINS;
    this.#isLimited = config.RATE_LIMIT === "on";
  }

  /** Serves sockets on a server, next to what it serves already. */
  attach(io: PushServer, server: Server): void {
    io.attach(server);
    // engine.io knows the path with its slash alone, so it gets that path.
    const normalize = (request: IncomingMessage) => {
      request.url = request.url?.replace(/^\/ws(?=\?|$)/, "/ws/");
    };
    server.prependListener("request", normalize);
    server.prependListener("upgrade", (request, connection) => {
      normalize(request);
      // The answer to the upgrade and engine.io's first packet.
      if (request.url?.startsWith("/ws/") === true) writeTogether(connection);
    });

    const engine = io.engine as unknown as Engine;
    const allowOrigins = cors({ origin: this.#origins.includes("*") ? "*" : this.#origins });
    engine.use((request, response, next) => {
      for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.setHeader(name, value);
      if (response instanceof ServerResponse) setCommonHeaders(request, response);
      allowOrigins(request, response, next);
    });
    engine.use((request, response, next) => {
      const problem = this.#problemOf(request, engine, response instanceof ServerResponse);
      if (problem === null) next();
      else if (response instanceof ServerResponse) refuseRequest(request, response, problem);
      else refuseConnection(request.socket, problem, requestIdOf(request));
    });
    engine.on("connection", (conn) => {
      const spend = limitInbound(conn);
      this.#enter(conn);
      if (conn.transport.name === "websocket") this.#heartbeat.add(conn, spend);
      else {
        mayWait(conn);
        conn.once("upgrade", () => this.#heartbeat.add(conn, spend));
      }
    });
    engine.on("flush", mayWait);
    engine.on("headers", (_headers, request) => {
      const conn = engine.clients[request._query.sid ?? ""];
      if (conn !== undefined && request.method === "GET") answeredOn(conn, request.socket);
    });
  }

  /** Refuses new connections. Open ones stay. */
  close(): void {
    this.#isClosed = true;
  }

  /** A connection has authenticated, or has closed: it does not count any more. */
  authenticated(conn: Socket["conn"]): void {
    const address = this.#unauthenticated.get(conn);
    if (address === undefined) return;
    this.#unauthenticated.delete(conn);
    const left = (this.#ofAddress.get(address) ?? 1) - 1;
    if (left === 0) this.#ofAddress.delete(address);
    else this.#ofAddress.set(address, left);
  }

  #enter(conn: Socket["conn"]): void {
    const address = clientAddress(conn.request, this.#config);
    this.#unauthenticated.set(conn, address);
    this.#ofAddress.set(address, (this.#ofAddress.get(address) ?? 0) + 1);
    conn.on("close", () => {
      this.authenticated(conn);
      this.#heartbeat.remove(conn);
    });
  }

  /** The problem of a request by the rules of engine.io's protocol 4 and by our own; null for none. */
  #problemOf(request: EngineRequest, { clients }: Engine, isPlain: boolean): Problem | null {
    const { _query: query, url = "", method = "" } = request;
    const malformed = (detail: string): Problem => new Problem("malformed-request", detail);
    if (!/^\/ws\/(?:\?|$)/.test(url)) return new Problem("not-found", "No resource has this path");
    if (method !== "GET" && method !== "POST")
      return new Problem("method-not-allowed", `This resource does not support ${method}, only GET, POST`, {
        headers: { Allow: "GET, POST, OPTIONS" },
      });
    if (query.EIO !== "4") return malformed("Use a socket.io 4 client: the query must have `EIO=4`");
    if (query.j !== undefined) return malformed("JSONP is not supported");
    if (!TRANSPORTS.includes(query.transport ?? "")) return malformed("transport is polling or websocket");
    if (isPlain && query.transport === "websocket")
      return malformed("A WebSocket starts with an upgrade of the connection");
    if (query.sid !== undefined) {
      const conn = Object.hasOwn(clients, query.sid) ? clients[query.sid] : undefined;
      if (conn === undefined) return malformed("This connection has ended: connect again");
      return isPlain && conn.transport.name !== query.transport
        ? malformed("This connection is a WebSocket already")
        : null;
    }
    if (method !== "GET") return malformed("A connection starts with GET");
    return this.#problemOfNew(clientAddress(request, this.#config));
  }

  #problemOfNew(address: string): Problem | null {
    if (this.#isClosed) return retryLater("service-unavailable", "This node is stopping");
    if (this.#unauthenticated.size >= MAX_UNAUTHENTICATED) return retryLater("overloaded");
    if (this.#isLimited && (this.#ofAddress.get(address) ?? 0) >= MAX_UNAUTHENTICATED_OF_ADDRESS)
      return retryLater("rate-limited", "Too many connections from your address have not sent a token yet");
    return null;
  }
}
