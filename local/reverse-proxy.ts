/**
 * One address for the gateways and the notifiers of `npm run cluster`, as the ingress of production is: `/ws` leads to the
 * notifiers, everything else to the gateways. A node that takes no connection is passed over.
 */
import { once } from "node:events";
import {
  Agent,
  createServer,
  type IncomingMessage,
  request as send,
  type Server,
  type ServerResponse,
} from "node:http";
import { connect, type Socket } from "node:net";
import { type Duplex, pipeline } from "node:stream";
import { problemDocument } from "../core/errors.ts";
import { newId } from "../core/ids.ts";

/** Where the nodes listen. */
export const NODES_HOST = "127.0.0.1";
const SOCKETS_PATH = /^\/ws\/?(?:\?|$)/;
/** Headers that are about one connection (RFC 9110 §7.6.1). */
const OF_A_CONNECTION = new Set(["connection", "keep-alive", "proxy-connection", "te", "upgrade"]);
const FORWARDED_FOR = "X-Forwarded-For";

export interface ProxyOptions {
  host: string;
  port: number;
  /** Ports of the nodes. */
  gateways: readonly number[];
  notifiers: readonly number[];
}

const isForSockets = ({ url = "" }: IncomingMessage): boolean => SOCKETS_PATH.test(url);
const wantsWebSocket = (request: IncomingMessage): boolean =>
  isForSockets(request) && request.headers.upgrade?.toLowerCase() === "websocket";

/** The list from its member number `turn` on, and then the members before that one. */
const from = (ports: readonly number[], turn: number): number[] => {
  const first = turn % ports.length;
  return [...ports.slice(first), ...ports.slice(0, first)];
};

/** Names and values in turn, without the headers that are left out. */
const without = (raw: readonly string[], isLeftOut: (name: string) => boolean): string[] =>
  raw.filter((_, at) => !isLeftOut((raw[at - (at % 2)] as string).toLowerCase()));
const endToEnd = (raw: readonly string[]): string[] => without(raw, (name) => OF_A_CONNECTION.has(name));

/** The headers with the addresses that the request came through, for TRUST_PROXY. */
function forwarded({ headers, socket }: IncomingMessage, raw: readonly string[]): string[] {
  const came = [headers["x-forwarded-for"], socket.remoteAddress].flat().filter(Boolean).join(", ");
  return [...without(raw, (name) => name === FORWARDED_FOR.toLowerCase()), FORWARDED_FOR, came];
}

const unavailable = (kind: "gateway" | "notifier", path: string): string =>
  JSON.stringify(
    problemDocument("service-unavailable", `No ${kind} takes connections now`, {
      instance: path,
      request_id: newId(),
    }),
  );
const UNAVAILABLE_HEAD = { "Content-Type": "application/problem+json; charset=utf-8", "Retry-After": "1" };

export class ReverseProxy {
  readonly #gateways: readonly number[];
  readonly #notifiers: readonly number[];
  readonly #agent = new Agent({ keepAlive: true });
  readonly #webSockets = new Set<Duplex>();
  readonly #server: Server;
  #turn = 0;

  private constructor({ gateways, notifiers }: ProxyOptions) {
    [this.#gateways, this.#notifiers] = [gateways, notifiers];
    this.#server = createServer(
      {
        // Of other upgrades nothing is known: they are requests like all others, as RFC 9110 §7.8 allows.
        shouldUpgradeCallback: wantsWebSocket,
      },
      (request, response) => this.#pass(request, response, this.#nodesFor(request)),
    );
    this.#server.on("upgrade", (request: IncomingMessage, client: Duplex, head: Buffer) => {
      client.on("error", () => {});
      this.#webSockets.add(client.once("close", () => this.#webSockets.delete(client)));
      this.#join(request, client, head, this.#nodesFor(request));
    });
  }

  /** @throws EADDRINUSE and others when the port can't be taken */
  static async listen(options: ProxyOptions): Promise<ReverseProxy> {
    const proxy = new ReverseProxy(options);
    const { host, port } = options;
    await once(proxy.#server.listen({ host, port }), "listening");
    // Such as a connection that finds no file descriptor: the proxy goes on.
    proxy.#server.on("error", (error) => process.stderr.write(`The proxy: ${error.message}\n`));
    return proxy;
  }

  /** Breaks what is still open. */
  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    for (const client of this.#webSockets) client.destroy();
    this.#agent.destroy();
    await closed;
  }

  /**
   * The ports to try, one after another. A socket that begins as a WebSocket is one connection, and may go anywhere. The
   * session of one that polls is at one notifier, where its upgrade has to go too: its client's address leads there.
   */
  #nodesFor(request: IncomingMessage): number[] {
    if (!isForSockets(request)) return from(this.#gateways, this.#turn++);
    const { searchParams } = new URL(request.url ?? "", "http://proxy");
    if (searchParams.get("transport") === "websocket" && !searchParams.has("sid"))
      return from(this.#notifiers, this.#turn++);
    const address = [...(request.socket.remoteAddress ?? "")];
    return from(
      this.#notifiers,
      address.reduce((sum, character) => sum + character.charCodeAt(0), 0),
    );
  }

  /** A client of a node that dies meanwhile loses its connection, as it does without a proxy. */
  #pass(request: IncomingMessage, response: ServerResponse, [port, ...others]: number[]): void {
    if (response.destroyed) return;
    if (port === undefined) {
      response.writeHead(503, UNAVAILABLE_HEAD);
      response.end(unavailable(isForSockets(request) ? "notifier" : "gateway", request.url ?? "/"));
      request.resume();
      return;
    }
    const { method = "GET", url: path } = request;
    const headers = forwarded(request, endToEnd(request.rawHeaders));
    // Node would send no body as an empty one in chunks.
    const hasBody = "content-length" in request.headers || "transfer-encoding" in request.headers;
    if (!hasBody && method !== "GET" && method !== "HEAD") headers.push("Content-Length", "0");
    const passed = send({ host: NODES_HOST, port, method, path, headers, agent: this.#agent });
    let isAnswered = false;
    passed.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") this.#pass(request, response, others);
      // The rest of an answer is the pipeline's matter.
      else if (!isAnswered) response.destroy();
    });
    // The body leaves once a node has taken the connection: until then the next node can have it.
    passed.once("socket", (socket: Socket) => {
      const sendBody = (): void => void request.pipe(passed);
      if (socket.connecting) socket.once("connect", sendBody);
      else sendBody();
    });
    passed.once("response", (answer) => {
      isAnswered = true;
      const { statusCode = 502, statusMessage, rawHeaders } = answer;
      response.writeHead(statusCode, statusMessage, endToEnd(rawHeaders));
      // A stream of events says that it is open before it has any.
      response.flushHeaders();
      pipeline(answer, response, () => {
        // Of a body that the node did not want to read.
        request.unpipe(passed).resume();
      });
    });
    response.once("close", () => passed.destroy());
  }

  /** Both sides of a WebSocket, from its handshake on, byte by byte. */
  #join(request: IncomingMessage, client: Duplex, head: Buffer, [port, ...others]: number[]): void {
    if (client.destroyed) return;
    if (port === undefined) {
      const body = unavailable("notifier", request.url ?? "/");
      const lines = { ...UNAVAILABLE_HEAD, "Content-Length": Buffer.byteLength(body), Connection: "close" };
      const texts = Object.entries(lines).map(([name, value]) => `${name}: ${value}`);
      client.end(["HTTP/1.1 503 Service Unavailable", ...texts, "", body].join("\r\n"));
      return;
    }
    const node = connect({ host: NODES_HOST, port, noDelay: true });
    const tryNext = (): void => this.#join(request, client, head, others);
    node.once("error", tryNext);
    node.once("connect", () => {
      node.off("error", tryNext);
      const lines = [`${request.method} ${request.url} HTTP/1.1`];
      const headers = forwarded(request, request.rawHeaders);
      for (let at = 0; at < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`);
      node.write(`${lines.join("\r\n")}\r\n\r\n`);
      node.write(head);
      pipeline(client, node, client, () => {
        client.destroy();
        node.destroy();
      });
    });
  }
}
