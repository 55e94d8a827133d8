/** The system under test: nodes as real processes, whose every connection to a broker or to Postgres a fault can break. */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { Redis } from "ioredis";
import { startNatsCluster } from "../../local/nats.ts";
import { freePort } from "../../local/ports.ts";
import { ProcessGroup } from "../../local/process-group.ts";
import { startRedis } from "../../local/redis.ts";
import type { LocalServer } from "../../local/server-process.ts";
import { until } from "../../local/until.ts";
import { migrate } from "../../migrations/migrate.ts";
import { Balancer } from "./balancer.ts";
import { watchRewrites } from "./database-dump.ts";
import { Mailbox } from "./mailbox.ts";
import { PostgresPair } from "./postgres-pair.ts";
import type { Recording } from "./recording.ts";
import { type NetworkState, TcpProxy } from "./tcp-proxy.ts";

export const DATABASE = "taskwire";
export const ADMIN = { email: "admin@example.com", password: "chaos is an admin" };
/** Seconds that an access token lives: short, so that tokens expire and are renewed within a run. */
export const TOKEN_TTL_S = 45;

/** Seconds over which a stopping notifier closes its sockets. */
export const DRAIN_S = 2;

/** What each node runs; there are two of each. */
const SERVICES = {
  gateway: "api-gateway",
  auth: "auth",
  users: "users,mailer,jobs",
  projects: "projects",
  tasks: "tasks",
  notifier: "notifier",
} as const;
export type NodeKind = keyof typeof SERVICES;
export const NODE_KINDS = Object.keys(SERVICES) as NodeKind[];

/** What nodes depend on. */
export type Backend = "nats" | "redis" | "postgres";
const BACKENDS: Backend[] = ["nats", "redis", "postgres"];
/** Servers of the NATS cluster, all of which each node is told of. */
const NATS_SERVERS = 3;

const START_MS = 60_000;
const STOP_MS = 20_000;
const UNHANDLED = /unhandled ?rejection|uncaught ?exception/i;

/** Something to end, in the opposite order of its start. */
export type Own = (part: string, stop: () => unknown) => void;

/** Lines of a node that ended by itself, which say why. */
const LAST_LINES = 8;

export class Topology {
  readonly exits: Recording["exits"] = [];
  readonly rejections: Recording["rejections"] = [];
  readonly memory: Recording["memory"] = {};
  /** The last lines of all nodes, for a start that fails. */
  readonly lines: string[] = [];
  readonly nodes = new Map<string, Record<string, string>>();
  nats!: LocalServer[];
  redis!: LocalServer;
  postgres!: PostgresPair;
  mails!: Mailbox;
  api!: Balancer;
  /** The same gateways, for those who follow the log over HTTP. */
  streams!: Balancer;
  sockets!: Balancer;
  readonly #proxies: { node: string; backend: Backend; proxy: TcpProxy }[] = [];
  readonly #group: ProcessGroup;
  /** Nodes that a fault ends: their end is no finding. */
  readonly #ending = new Set<string>();
  #stopped = false;

  private constructor() {
    this.#group = new ProcessGroup({
      command: process.execPath,
      args: [fileURLToPath(new URL("../../main.ts", import.meta.url))],
      out: (node, line) => this.#read(node, line),
      onExit: (node, code, signal) => {
        if (this.#stopped || this.#ending.delete(node)) return;
        const last = this.lines.filter((line) => line.startsWith(`${node}: `)).slice(-LAST_LINES);
        const how = [signal ?? `exit code ${code}`, ...last.map((line) => line.slice(0, 500))].join("\n    ");
        this.exits.push({ node, at: Date.now(), how });
        this.#group.start({ name: node, env: this.nodes.get(node) ?? {} });
      },
    });
  }

  /**
   * Starts everything and waits until all nodes serve.
   * @param folder empty, and open to Postgres' user
   */
  static async start(folder: string, own: Own, say: (line: string) => void): Promise<Topology> {
    const topology = new Topology();
    await topology.#startBackends(folder, own, say);
    await topology.#startNodes(own, say);
    return topology;
  }

  async #startBackends(folder: string, own: Own, say: (line: string) => void): Promise<void> {
    say("starting Postgres with its standby, NATS and Redis");
    this.postgres = await PostgresPair.start(folder, (pair) => own("Postgres", () => pair.stop()));
    await this.postgres.createDatabase(DATABASE);
    await migrate(await this.postgres.urlOf(DATABASE));
    await watchRewrites(await this.postgres.urlOf(DATABASE));
    await this.postgres.addStandby();
    this.nats = await startNatsCluster(NATS_SERVERS);
    own("NATS", () => Promise.all(this.nats.map((server) => server.stop())));
    this.redis = await startRedis();
    own("Redis", () => this.redis.stop());
    this.mails = await Mailbox.listen();
    own("the mail server", () => this.mails.close());
  }

  async #startNodes(own: Own, say: (line: string) => void): Promise<void> {
    const shared = {
      NODE_ENV: "test",
      BCRYPT_COST: "4",
      LOG_LEVEL: "warn",
      RATE_LIMIT: "off",
      DRAIN_SECONDS: String(DRAIN_S),
      ACCESS_TOKEN_TTL: String(TOKEN_TTL_S),
      JWT_SECRET: randomBytes(32).toString("base64url"),
      NAMESPACE: `chaos-${randomBytes(4).toString("hex")}`,
      SMTP_URL: this.mails.url,
      ADMIN_EMAIL: ADMIN.email,
      ADMIN_PASSWORD: ADMIN.password,
    };
    const ports: Record<string, number[]> = { PORT: [], NOTIFIER_PORT: [] };
    for (const kind of NODE_KINDS)
      for (const number of [1, 2]) {
        const name = `${kind}-${number}`;
        const node: Record<string, string> = { ...shared, NODE_ID: name, SERVICES: SERVICES[kind] };
        const variable = { gateway: "PORT", notifier: "NOTIFIER_PORT" }[kind as string];
        if (variable !== undefined) {
          const port = await freePort();
          ports[variable]?.push(port);
          node[variable] = String(port);
        }
        for (const backend of BACKENDS) {
          const urls = await this.#urlsOf(name, backend, own);
          node[`${backend === "postgres" ? "DATABASE" : backend.toUpperCase()}_URL`] = urls.join(",");
        }
        this.nodes.set(name, node);
      }
    own("the nodes", () => this.#stopNodes());
    say(`starting ${this.nodes.size} nodes`);
    await Promise.all([...this.nodes.keys()].map((name) => this.startNode(name)));
    this.api = await Balancer.listen(ports.PORT ?? [], "in_turn");
    own("the balancer of gateways", () => this.api.close());
    this.streams = await Balancer.listen(ports.PORT ?? [], "in_turn");
    own("the balancer of event streams", () => this.streams.close());
    this.sockets = await Balancer.listen(ports.NOTIFIER_PORT ?? [], "by_address");
    own("the balancer of notifiers", () => this.sockets.close());
    const sampling = setInterval(() => void this.#sampleMemory(), 2000);
    own("samples of memory", () => clearInterval(sampling));
  }

  /** What a node knows a backend by: a proxy of its own for each server. */
  async #urlsOf(node: string, backend: Backend, own: Own): Promise<string[]> {
    const servers = backend === "nats" ? this.nats : [this[backend]];
    return Promise.all(
      servers.map(async (server) => {
        const proxy = await TcpProxy.listen(() => server.port);
        own(`a proxy of ${node}`, () => proxy.close());
        this.#proxies.push({ node, backend, proxy });
        const url = new URL("urlOf" in server ? await server.urlOf(DATABASE) : server.url);
        url.port = String(proxy.port);
        return url.href.replace(/\/$/, "");
      }),
    );
  }

  /** Starts a node, and waits until it and all services serve. */
  async startNode(name: string): Promise<void> {
    const child = this.#group.start({ name, env: this.nodes.get(name) as Record<string, string> });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    child.once("message", () => resolve());
    child.once("exit", () => reject(new Error(`${name} ended before it served:\n${this.tail(name)}`)));
    const timer = setTimeout(
      () => reject(new Error(`${name} does not serve:\n${this.tail(name)}`)),
      START_MS,
    );
    await promise.finally(() => clearTimeout(timer));
  }

  /** Ends a node by a signal, and waits until it is gone. */
  async endNode(name: string, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    this.#ending.add(name);
    this.#group.kill(name, signal);
    if (await until(() => this.#group.get(name) === undefined, STOP_MS)) return;
    this.exits.push({ node: name, at: Date.now(), how: `does not end within ${STOP_MS} ms of ${signal}` });
    this.#group.kill(name, "SIGKILL");
    await until(() => this.#group.get(name) === undefined, STOP_MS);
  }

  freeze(name: string): void {
    this.#group.kill(name, "SIGSTOP");
  }

  thaw(name: string): void {
    this.#group.kill(name, "SIGCONT");
  }

  /** Sets the network between a backend and one node, or all of them. */
  setNetwork(backend: Backend, state: NetworkState, node?: string): void {
    for (const one of this.#proxies)
      if (one.backend === backend && (node === undefined || one.node === node)) one.proxy.set(state);
  }

  /** Takes away every subscription in Redis; publishers stay connected. */
  async dropSubscriptions(): Promise<void> {
    const redis = new Redis(this.redis.url, { maxRetriesPerRequest: 1 });
    redis.on("error", () => {});
    await redis.call("CLIENT", "KILL", "TYPE", "pubsub").finally(() => redis.disconnect());
  }

  tail(node: string): string {
    return this.lines
      .filter((line) => line.startsWith(`${node}:`))
      .slice(-10)
      .join("\n");
  }

  #read(node: string, line: string): void {
    this.lines.push(`${node}: ${line}`);
    if (this.lines.length > 5000) this.lines.splice(0, 1000);
    if (UNHANDLED.test(line)) this.rejections.push({ node, line: line.slice(0, 300) });
  }

  async #sampleMemory(): Promise<void> {
    for (const { name, pid } of this.#group.list()) {
      const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
      const [, kilobytes] = /VmRSS:\s+(\d+)/.exec(status) ?? [];
      if (kilobytes !== undefined) (this.memory[name] ??= []).push(Number(kilobytes) * 1024);
    }
  }

  async #stopNodes(): Promise<void> {
    this.#stopped = true;
    for (const { proxy } of this.#proxies) proxy.set("open");
    await this.#group.stopAll();
  }
}
