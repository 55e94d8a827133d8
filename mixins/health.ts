/**
 * Whether a node can serve, and what it depends on (docs/reference.md, Health and metrics). The answer comes within a
 * second, whatever hangs, and costs little however many ask: they share one question to each dependency.
 */
import type { Redis } from "ioredis";
import type { ServiceBroker } from "moleculer";
import { type Config, SERVICES } from "../core/config.ts";
import { type Metrics, metricsOf } from "../core/metrics.ts";
import { outsideScope } from "../core/trace.ts";
import packageJson from "../package.json" with { type: "json" };
import { databaseOf } from "./database.ts";

/** Milliseconds in which a dependency must answer. */
const PATIENCE_MS = 700;
/** Milliseconds that an answer is good for those who ask after it. */
const FRESH_MS = 250;

export interface DependencyState {
  /** `off`: this node does without it. */
  state: "up" | "down" | "off";
  /** Milliseconds that the answer took; null without one. */
  latency_ms: number | null;
}

const OFF: DependencyState = { state: "off", latency_ms: null };
const DOWN: DependencyState = { state: "down", latency_ms: null };

/** Something outside of the process. One question to it is under way at a time, however long it takes. */
export class Dependency {
  readonly #ask: (() => Promise<unknown>) | null;
  #question: { since: number; answer: Promise<DependencyState> } | null = null;
  #last = DOWN;
  #lastAt = -Infinity;

  /** @param ask resolves when the dependency has answered; null for one that the node does without */
  constructor(ask: (() => Promise<unknown>) | null) {
    this.#ask = ask;
  }

  /** The state now, within PATIENCE_MS. Never throws. */
  async state(): Promise<DependencyState> {
    if (this.#ask === null) return OFF;
    if (performance.now() - this.#lastAt < FRESH_MS) return this.#last;
    const { since, answer } = (this.#question ??= this.#begin(this.#ask));
    const left = PATIENCE_MS - (performance.now() - since);
    if (left <= 0) return DOWN;
    const { promise: late, resolve } = Promise.withResolvers<DependencyState>();
    const timer = setTimeout(() => resolve(DOWN), left);
    try {
      return await Promise.race([answer, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  #begin(ask: () => Promise<unknown>): { since: number; answer: Promise<DependencyState> } {
    const since = performance.now();
    const end = (state: "up" | "down"): DependencyState => {
      const took = performance.now() - since;
      this.#question = null;
      // An answer that came too late is none: whoever asks next asks again.
      if (took > PATIENCE_MS) return DOWN;
      this.#last = state === "up" ? { state, latency_ms: Number(took.toFixed(2)) } : DOWN;
      this.#lastAt = performance.now();
      return this.#last;
    };
    const answer = Promise.try(ask).then(
      () => end("up"),
      () => end("down"),
    );
    return { since, answer };
  }
}

export interface Readiness {
  /** `waiting`: for what is `missing`. */
  status: "ready" | "starting" | "stopping" | "waiting";
  /** Dependencies and services that are away. */
  missing: string[];
}

export interface HealthReport {
  /** `degraded`: the node serves, and something is missing. `down`: the node is not ready. */
  status: "ok" | "degraded" | "down";
  version: string;
  /** Seconds since the process started. */
  uptime: number;
  database: DependencyState;
  redis: DependencyState;
  nats: DependencyState;
  /** How many nodes run each service. */
  services: Record<string, number>;
}

/** The NATS client inside of Moleculer's transporter; absent until it has connected once. */
type NatsTransit = { tx?: { client?: { flush(): Promise<void> } | null } } | null;

/** Moleculer says `connected` while NATS is away: a round trip tells. */
async function askNats({ transit }: ServiceBroker): Promise<void> {
  const client = (transit as unknown as NatsTransit)?.tx?.client;
  if (client == null) throw new Error("not connected yet");
  await client.flush();
}

async function askRedis({ cacher }: ServiceBroker): Promise<void> {
  const { client } = cacher as unknown as { client: Redis };
  // Twice: after a long turn of the event loop the client's timeout fires before the reply that has already arrived.
  await client.ping().catch(() => client.ping());
}

async function askDatabase(broker: ServiceBroker): Promise<void> {
  const db = databaseOf(broker);
  if (db === undefined) throw new Error("not open yet");
  // The answer is for all who ask, so its span belongs to none of them.
  await outsideScope(() => db.query({ name: "health", text: "SELECT 1" }));
}

export class Health {
  /** Services without which this node is not ready: a gateway's are those that it has routes to. */
  readonly needs = new Set<string>();
  /** Set by whoever starts and stops the node. */
  phase: "starting" | "serving" | "stopping" = "starting";
  readonly #broker: ServiceBroker;
  readonly #dependencies: Readonly<Record<"database" | "redis" | "nats", Dependency>>;

  constructor(broker: ServiceBroker, { NATS_URL, REDIS_URL }: Pick<Config, "NATS_URL" | "REDIS_URL">) {
    this.#broker = broker;
    this.#dependencies = {
      database: new Dependency(() => askDatabase(broker)),
      redis: new Dependency(REDIS_URL === "" ? null : () => askRedis(broker)),
      nats: new Dependency(NATS_URL === "" ? null : () => askNats(broker)),
    };
  }

  /** Whether the node can serve now: Postgres and NATS answer, and each service that it needs has a node. */
  async ready(): Promise<Readiness> {
    // Without a question: a node that stops says so at once.
    if (this.phase !== "serving") return { status: this.phase, missing: [] };
    return this.#readiness(await this.#ask(), this.#services());
  }

  async report(): Promise<HealthReport> {
    const dependencies = await this.#ask();
    const services = this.#services();
    const { status } = this.#readiness(dependencies, services);
    const isWhole =
      dependencies.redis.state !== "down" && Object.values(services).every((nodes) => nodes > 0);
    return {
      status: status !== "ready" ? "down" : isWhole ? "ok" : "degraded",
      version: packageJson.version,
      uptime: Math.floor(process.uptime()),
      ...dependencies,
      services,
    };
  }

  /** Adds the gauges of docs/metrics.md. */
  measure(metrics: Metrics): void {
    metrics.gauge("taskwire_ready", "1 while /ready answers 200", [], async () =>
      (await this.ready()).status === "ready" ? 1 : 0,
    );
    const help = ["1 while the dependency answers", "How long its last answer took"] as const;
    metrics.gauge("taskwire_dependency_up", help[0], ["dependency"], async () =>
      Object.entries(await this.#ask()).flatMap(([dependency, { state }]) =>
        state === "off" ? [] : [[{ dependency }, state === "up" ? 1 : 0] as const],
      ),
    );
    metrics.gauge("taskwire_dependency_latency_seconds", help[1], ["dependency"], async () =>
      Object.entries(await this.#ask()).flatMap(([dependency, { latency_ms: ms }]) =>
        ms === null ? [] : [[{ dependency }, ms / 1000] as const],
      ),
    );
    metrics.gauge("taskwire_service_nodes", "Nodes that run a service", ["service"], () =>
      Object.entries(this.#services()).map(([service, nodes]) => [{ service }, nodes] as const),
    );
    metrics.gauge("taskwire_build_info", "The version that runs; always 1", ["version"], () => [
      [{ version: packageJson.version }, 1],
    ]);
  }

  async #ask(): Promise<Record<"database" | "redis" | "nats", DependencyState>> {
    const { database, redis, nats } = this.#dependencies;
    const [ofDatabase, ofRedis, ofNats] = await Promise.all([database.state(), redis.state(), nats.state()]);
    return { database: ofDatabase, redis: ofRedis, nats: ofNats };
  }

  #readiness(
    { database, nats }: Record<"database" | "nats", DependencyState>,
    services: Record<string, number>,
  ): Readiness {
    if (this.phase !== "serving") return { status: this.phase, missing: [] };
    const missing = [
      ...(database.state === "down" ? ["database"] : []),
      ...(nats.state === "down" ? ["nats"] : []),
      ...[...this.needs].filter((name) => (services[name] ?? 0) === 0),
    ];
    return { status: missing.length === 0 ? "ready" : "waiting", missing };
  }

  /** The nodes of each service, as this node's registry knows them. */
  #services(): Record<string, number> {
    const nodes = Object.fromEntries(SERVICES.map((name): [string, number] => [name, 0]));
    for (const { name } of this.#broker.registry.getServiceList({ onlyAvailable: true }))
      if (name in nodes) nodes[name] = (nodes[name] as number) + 1;
    return nodes;
  }
}

const ofBrokers = new WeakMap<ServiceBroker, Health>();

/** The health of a node. */
export function healthOf(broker: ServiceBroker, config: Config): Health {
  let health = ofBrokers.get(broker);
  if (health === undefined) {
    health = new Health(broker, config);
    health.measure(metricsOf(broker));
    ofBrokers.set(broker, health);
  }
  return health;
}
