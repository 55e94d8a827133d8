import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { TcpProxy } from "./tcp-proxy.ts";

const PROBE_EVERY_MS = 250;
const PROBE_WITHIN_MS = 1000;

/** How a new connection finds its node: each in turn, or where its client's address is as long as that is ready, as polling needs it. */
type Choice = "in_turn" | "by_address";

/**
 * A TCP balancer that sends connections to nodes that are ready. A node without `/ready` counts as ready when it answers
 * anything but 5xx.
 */
export class Balancer {
  readonly #ready = new Set<number>();
  readonly #ports: number[];
  readonly #choice: Choice;
  /** The node of each client's address. */
  readonly #kept = new Map<string, number>();
  #proxy: TcpProxy | undefined;
  #turn = 0;
  #closed = false;

  private constructor(ports: number[], choice: Choice) {
    this.#ports = ports;
    this.#choice = choice;
  }

  static async listen(ports: number[], choice: Choice): Promise<Balancer> {
    const balancer = new Balancer(ports, choice);
    balancer.#proxy = await TcpProxy.listen((client, tried) => balancer.#choose(client, tried));
    for (const port of ports) void balancer.#watch(port);
    return balancer;
  }

  get port(): number {
    return (this.#proxy as TcpProxy).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Breaks all connections: every client connects again at once. */
  breakAll(): void {
    this.#proxy?.breakAll();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#proxy?.close();
  }

  async #watch(port: number): Promise<void> {
    while (!this.#closed) {
      const isReady = await fetch(`http://127.0.0.1:${port}/ready`, {
        signal: AbortSignal.timeout(PROBE_WITHIN_MS),
        headers: { Connection: "close" },
      }).then(
        async (response) => {
          await response.body?.cancel();
          return response.status < 500;
        },
        () => false,
      );
      if (isReady) this.#ready.add(port);
      else this.#ready.delete(port);
      await delay(PROBE_EVERY_MS);
    }
  }

  /** A node that refuses a connection has ended since the last probe: the next one gets it. */
  #choose({ remoteAddress = "" }: Socket, tried: readonly number[]): number | undefined {
    const ready = this.#ports.filter((port) => this.#ready.has(port) && !tried.includes(port));
    if (ready.length === 0) return undefined;
    const kept = this.#kept.get(remoteAddress);
    if (this.#choice === "by_address" && kept !== undefined && ready.includes(kept)) return kept;
    const port = ready[this.#turn++ % ready.length] as number;
    this.#kept.set(remoteAddress, port);
    return port;
  }
}
