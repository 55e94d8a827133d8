import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

/**
 * What a network does to connections. `cut`: they break, and new ones are refused. `stalled`: they stay open and nothing
 * passes. `one_way`: what the client sends arrives, and the answers do not.
 */
export type NetworkState = "open" | "cut" | "stalled" | "one_way";

interface Link {
  client: Socket;
  server: Socket;
}

/**
 * The port that a new connection goes to; undefined refuses it.
 * @param tried ports that refused this connection
 */
export type Route = (client: Socket, tried: readonly number[]) => number | undefined;

/** A TCP proxy on 127.0.0.1 that can be broken like a network. */
export class TcpProxy {
  readonly #server: Server;
  readonly #links = new Set<Link>();
  readonly #route: Route;
  readonly #localAddress: string | undefined;
  #state: NetworkState = "open";

  private constructor(route: Route, localAddress: string | undefined) {
    this.#route = route;
    this.#localAddress = localAddress;
    this.#server = createServer({ allowHalfOpen: false, noDelay: true }, (client) => this.#accept(client));
  }

  /** @param localAddress what servers see as the address of its clients, of 127.0.0.0/8 */
  static async listen(route: Route, localAddress?: string): Promise<TcpProxy> {
    const proxy = new TcpProxy(route, localAddress);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once("error", reject).listen(0, "127.0.0.1", resolve);
    });
    return proxy;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  set(state: NetworkState): void {
    this.#state = state;
    if (state === "cut") this.breakAll();
    else this.#links.forEach((link) => this.#flow(link));
  }

  /** Breaks the connections that are open now. */
  breakAll(): void {
    for (const { client, server } of this.#links) {
      client.resetAndDestroy();
      server.resetAndDestroy();
    }
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.set("cut");
    await closed;
  }

  #accept(client: Socket): void {
    client.on("error", () => {});
    client.pause();
    this.#connect(client, []);
  }

  #connect(client: Socket, tried: number[]): void {
    if (client.destroyed) return;
    const port = this.#state === "cut" ? undefined : this.#route(client, tried);
    if (port === undefined || tried.includes(port)) return void client.resetAndDestroy();
    const [host, localAddress] = ["127.0.0.1", this.#localAddress];
    const server = connect({
      port,
      host,
      noDelay: true,
      ...(localAddress !== undefined && { localAddress }),
    });
    const retry = (): void => this.#connect(client, [...tried, port]);
    server.once("error", retry);
    server.once("connect", () => {
      server.off("error", retry).on("error", () => {});
      if (!client.destroyed && this.#state !== "cut") return this.#link(client, server);
      client.resetAndDestroy();
      server.resetAndDestroy();
    });
  }

  #link(client: Socket, server: Socket): void {
    const link = { client, server };
    this.#links.add(link);
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const)
      one.once("close", () => {
        if (other.closed) this.#links.delete(link);
        // What is on its way still arrives, unless nothing may pass.
        if (one.errored !== null || this.#state !== "open") other.destroy();
        else other.end();
      });
    this.#flow(link);
  }

  #flow({ client, server }: Link): void {
    const pass = (from: Socket, to: Socket, passes: boolean): void => {
      from.unpipe(to);
      if (passes) from.pipe(to);
      else from.pause();
    };
    pass(client, server, this.#state === "open" || this.#state === "one_way");
    pass(server, client, this.#state === "open");
  }
}
