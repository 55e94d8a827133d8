/** A proxy in front of a server, which does to sockets what proxies in offices do. */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

/** `refuse`: 403. `swallow`: no answer, ever. */
export type Rule = "pass" | "refuse" | "swallow";

export class HttpProxy {
  /** What happens to WebSockets. */
  upgrades: Rule = "pass";
  /** What happens to other requests of socket.io. */
  polls: Rule = "pass";
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((incoming, response) => this.#forward(incoming, response));
  #isCut = false;

  private constructor(target: string) {
    this.#target = new URL(target);
    this.#server.on("connection", (socket) => {
      if (this.#isCut) socket.resetAndDestroy();
      else this.#own(socket);
    });
    this.#server.on("upgrade", (incoming, socket, head) => this.#upgrade(incoming, socket as Socket, head));
  }

  /** @param target the server's origin */
  static async listen(target: string): Promise<HttpProxy> {
    const proxy = new HttpProxy(target);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Blocks WebSockets and polling alike. */
  block(rule: Rule): void {
    this.upgrades = this.polls = rule;
  }

  /** Whether connections break, and new ones too. */
  set isCut(isCut: boolean) {
    this.#isCut = isCut;
    if (isCut) for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.isCut = true;
    await closed;
  }

  #own(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #forward(incoming: IncomingMessage, response: ServerResponse): void {
    const { method, url, headers } = incoming;
    const rule = url?.startsWith("/ws") === true ? this.polls : "pass";
    if (rule === "swallow") return;
    if (rule === "refuse") return void response.writeHead(403, { Connection: "close" }).end("blocked");
    const { hostname, port } = this.#target;
    const outgoing = request({ hostname, port, method, path: url, headers, agent: false });
    outgoing.on("response", (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response).on("error", () => {});
    });
    outgoing.on("error", () => response.destroy());
    response.once("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  }

  #upgrade({ method, url, rawHeaders }: IncomingMessage, socket: Socket, head: Buffer): void {
    if (this.upgrades === "swallow") return;
    if (this.upgrades === "refuse") return void socket.end("HTTP/1.1 403 Forbidden\r\n\r\n");
    const server = connect(Number(this.#target.port), this.#target.hostname);
    this.#own(server);
    const lines = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${rawHeaders[at + 1]}`] : []));
    server.write([`${method} ${url} HTTP/1.1`, ...lines, "", ""].join("\r\n"));
    server.write(head);
    server.pipe(socket).pipe(server);
    server.once("close", () => socket.destroy());
    socket.once("close", () => server.destroy());
  }
}
