/**
 * `npm run bench:sockets`: what sockets cost one notifier, beside bare socket.io and bare `ws` (bench/sockets/peers.ts).
 * 10,000 raw WebSockets (`-- --sockets 500` for fewer) in processes of their own: memory, connecting, resting, an event to
 * all, another room's events meanwhile, many small rooms, and all of them connecting again with cursors. It takes some
 * minutes, listens on 127.0.0.1 alone and needs Linux, `ulimit -n` above the number of sockets, and a quiet machine.
 * `-- --until rest` leaves the events out.
 *
 * Taskwire runs as in production: limits, log and metrics on, NATS, Redis, and Postgres, which does not flush. Its notifier
 * has a process of its own, as the others have. Each socket is in three rooms: its user's own, one of 20, and that of all.
 * CPU times are what the kernel counted for the process: another program on the machine changes them little.
 */
import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { startNats } from "../local/nats.ts";
import { freePort } from "../local/ports.ts";
import { startPostgres } from "../local/postgres.ts";
import { startRedis } from "../local/redis.ts";
import { until } from "../local/until.ts";
import { migrate } from "../migrations/migrate.ts";
import type { Command, Opening, Report } from "./sockets/clients.ts";
import { type MeasuredServer, Nodes, notifierOf, startPeer } from "./sockets/servers.ts";
import { makeWorld, TEAM } from "./sockets/world.ts";
import { clientOf, percentile } from "./system.ts";

const { values: options } = parseArgs({
  options: {
    sockets: { type: "string", default: "10000" },
    /** Seconds at rest. A socket is pinged every 25: in 30, servers that spread their pings would send more than others. */
    rest: { type: "string", default: "50" },
    /** `rest` ends there: no events, and no second connect. */
    until: { type: "string", default: "all" },
    /** Which servers, in this order. */
    servers: { type: "string", default: "socket.io,taskwire,ws" },
  },
});
const SOCKETS = Number(options.sockets);
const REST_MS = Number(options.rest) * 1000;
const CLIENT_PROCESSES = 2;
/** Connections under way at once, of each client process: fewer than an address may have without a token. */
const AT_ONCE = 50;
const EVENTS_TO_ALL = 10;
/** Milliseconds between two events to all, and between two events to another room. */
const [ALL_PAUSE_MS, OTHER_PAUSE_MS] = [1000, 50];
/** Events a second to small rooms: so many writes a second of so many events. */
const [WRITES_PER_S, EVENTS_PER_WRITE, MANY_SECONDS] = [10, 100, 10];
const PATIENCE_MS = 60_000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const ends: (() => Promise<unknown>)[] = [];
async function endAll(): Promise<void> {
  for (const end of ends.splice(0).reverse())
    await end().catch((error: unknown) => say(`at the end: ${String(error)}`));
}

/** The client processes as one. */
class Crowd {
  readonly #children: ChildProcess[];

  constructor() {
    const program = fileURLToPath(new URL("sockets/clients.ts", import.meta.url));
    this.#children = Array.from({ length: CLIENT_PROCESSES }, () => fork(program, ["run"]));
  }

  async #each(commandOf: (nth: number) => Command): Promise<(Report | null)[]> {
    return Promise.all(
      this.#children.map(async (child, nth) => {
        child.send(commandOf(nth));
        const [{ answer, error }] = (await once(child, "message")) as [
          { answer: Report | null; error?: string },
        ];
        if (error !== undefined) throw new Error(error);
        return answer;
      }),
    );
  }

  /** @param auths none to open the same sockets again */
  open({ port, path }: MeasuredServer, auths: object[] = []): Promise<unknown> {
    return this.#each((nth): Opening => {
      const own = auths.filter((_, at) => at % CLIENT_PROCESSES === nth);
      return { kind: "open", port, path, from: `127.0.0.${nth + 1}`, atOnce: AT_ONCE, auths: own };
    });
  }

  tell(kind: "close" | "watch"): Promise<unknown> {
    return this.#each(() => ({ kind }));
  }

  async read(): Promise<Report> {
    const reports = (await this.#each(() => ({ kind: "read" }))) as Report[];
    const sum = (of: (report: Report) => number): number => reports.reduce((all, one) => all + of(one), 0);
    const bySent = Map.groupBy(
      reports.flatMap(({ spreads }) => spreads),
      ({ sent }) => sent,
    );
    return {
      opened: sum(({ opened }) => opened),
      failed: sum(({ failed }) => failed),
      events: sum(({ events }) => events),
      outOfOrder: sum(({ outOfOrder }) => outOfOrder),
      lost: sum(({ lost }) => lost),
      readyMs: reports.flatMap(({ readyMs }) => readyMs),
      delays: reports.flatMap(({ delays }) => delays),
      refusal: reports.find(({ refusal }) => refusal !== undefined)?.refusal,
      spreads: [...bySent].map(([sent, parts]) => ({
        sent,
        first: Math.min(...parts.map(({ first }) => first)),
        last: Math.max(...parts.map(({ last }) => last)),
        count: parts.reduce((all, { count }) => all + count, 0),
      })),
    };
  }

  /** Waits until so many events have come since `watch`. */
  async arrived(events: number): Promise<Report> {
    let report = await this.read();
    await until(async () => (report = await this.read()).events >= events, PATIENCE_MS);
    if (report.events < events) throw new Error(`${report.events} of ${events} events arrived`);
    return report;
  }

  stop(): void {
    for (const child of this.#children) child.disconnect();
  }
}

type Figures = Record<string, number>;

/** What a server is asked in turn. Each figure is named in the table below. */
async function measure(server: MeasuredServer, crowd: Crowd, auths: object[]): Promise<Figures> {
  const figures: Figures = {};
  const progress = (line: string): void => say(`  ${server.name}: ${line}`);
  const median = (times: number[]): number => percentile(times, 0.5);

  // A few sockets first: code is compiled and statements are planned by then.
  await crowd.open(server, auths.slice(0, Math.min(200, SOCKETS)));
  await crowd.tell("close");
  await delay(1000);
  const empty = await server.ask("collect");

  progress(`${SOCKETS.toLocaleString("en")} sockets connect`);
  await crowd.tell("watch");
  let before = await server.ask("collect");
  let began = performance.now();
  await crowd.open(server, auths);
  let seconds = (performance.now() - began) / 1000;
  let after = await server.ask("read");
  let report = await crowd.read();
  if (report.failed + report.lost > 0)
    throw new Error(`${report.failed + report.lost} sockets did not open: ${report.refusal ?? "closed"}`);
  figures.connectMs = (after.cpuMs - before.cpuMs) / SOCKETS;
  figures.connectsPerSecond = SOCKETS / seconds;
  figures.readyP99 = percentile(report.readyMs, 0.99);

  await delay(1000);
  const full = await server.ask("collect");
  figures.memory = (full.rss - empty.rss) / SOCKETS / 1000;
  figures.heap = (full.heap - empty.heap) / SOCKETS / 1000;

  progress(`rest for ${REST_MS / 1000} s`);
  before = await server.ask("read");
  let databaseMs = await server.databaseMs();
  await delay(REST_MS);
  after = await server.ask("read");
  figures.restCpu = ((after.cpuMs - before.cpuMs) / REST_MS) * 100;
  figures.restDatabase = (((await server.databaseMs()) - databaseMs) / REST_MS) * 100;
  if (options.until === "rest") {
    await crowd.tell("close");
    return figures;
  }

  const toOther = async (count: number): Promise<void> => {
    for (let nth = 0; nth < count; nth++) {
      await server.writeToTeams([0]);
      await delay(OTHER_PAUSE_MS);
    }
  };
  const others = (EVENTS_TO_ALL * ALL_PAUSE_MS) / OTHER_PAUSE_MS;
  progress("events to a room of 20");
  await crowd.tell("watch");
  await toOther(others / 2);
  report = await crowd.arrived((others / 2) * TEAM);
  figures.otherQuietP50 = median(report.delays);
  figures.otherQuietP99 = percentile(report.delays, 0.99);

  progress("events to all, and to a room of 20 meanwhile");
  await crowd.tell("watch");
  await server.writeToAll();
  await crowd.arrived(SOCKETS);
  await crowd.tell("watch");
  await server.ask("watch");
  before = await server.ask("read");
  await server.ask("watch");
  const other = toOther(others);
  for (let nth = 0; nth < EVENTS_TO_ALL; nth++) {
    await server.writeToAll();
    await delay(ALL_PAUSE_MS);
  }
  await other;
  report = await crowd.arrived(EVENTS_TO_ALL * SOCKETS + others * TEAM);
  after = await server.ask("read");
  figures.allLast = median(report.spreads.map(({ sent, last }) => last - sent));
  figures.allSpread = median(report.spreads.map(({ first, last }) => last - first));
  figures.allFrameUs = ((after.cpuMs - before.cpuMs) * 1000) / report.events;
  figures.allBlock = after.blockMs;
  figures.otherBusyP50 = median(report.delays);
  figures.otherBusyP99 = percentile(report.delays, 0.99);

  progress(`${WRITES_PER_S * EVENTS_PER_WRITE} events a second to rooms of ${TEAM}`);
  await crowd.tell("watch");
  before = await server.ask("read");
  began = performance.now();
  const teams = Math.floor(SOCKETS / TEAM);
  const writes: Promise<void>[] = [];
  for (let nth = 0; nth < WRITES_PER_S * MANY_SECONDS; nth++) {
    const wanted = Array.from({ length: EVENTS_PER_WRITE }, (_, at) => (nth * EVENTS_PER_WRITE + at) % teams);
    const write = server.writeToTeams(wanted);
    // It is awaited with the others.
    write.catch(() => {});
    writes.push(write);
    await delay(Math.max(0, began + ((nth + 1) * 1000) / WRITES_PER_S - performance.now()));
  }
  await Promise.all(writes);
  report = await crowd.arrived(writes.length * EVENTS_PER_WRITE * TEAM);
  after = await server.ask("read");
  seconds = (performance.now() - began) / 1000;
  figures.manyPerSecond = (writes.length * EVENTS_PER_WRITE) / seconds;
  figures.manyCpu = (after.cpuMs - before.cpuMs) / seconds / 10;
  figures.manyFrameUs = ((after.cpuMs - before.cpuMs) * 1000) / report.events;
  figures.manyP50 = median(report.delays);
  figures.manyP99 = percentile(report.delays, 0.99);
  let outOfOrder = report.outOfOrder;

  progress("all of them connect again, each an event or two behind");
  await crowd.tell("close");
  await server.writeToAll();
  await server.writeToTeams(Array.from({ length: Math.min(teams, EVENTS_PER_WRITE) }, (_, nth) => nth));
  await delay(2000);
  await crowd.tell("watch");
  before = await server.ask("read");
  databaseMs = await server.databaseMs();
  began = performance.now();
  await crowd.open(server);
  figures.stormSeconds = (performance.now() - began) / 1000;
  after = await server.ask("read");
  report = await crowd.read();
  figures.stormMs = (after.cpuMs - before.cpuMs) / SOCKETS;
  figures.stormDatabaseMs = ((await server.databaseMs()) - databaseMs) / SOCKETS;
  figures.stormP99 = percentile(report.readyMs, 0.99);
  figures.stormEvents = report.events;
  outOfOrder += report.outOfOrder;
  figures.outOfOrder = outOfOrder;
  if (report.failed + report.lost > 0) throw new Error(`${report.failed + report.lost} sockets were lost`);
  await crowd.tell("close");
  return figures;
}

const ROWS: [name: string, label: string, digits: number][] = [
  ["memory", "memory a socket, kB", 1],
  ["heap", "  of it heap in use, kB", 1],
  ["connectMs", "connect: CPU a socket, ms", 2],
  ["connectsPerSecond", "  sockets a second", 0],
  ["readyP99", "  until ready, p99 ms", 0],
  ["restCpu", "at rest: CPU, % of a core", 1],
  ["restDatabase", "  of Postgres, %", 1],
  ["allLast", "event to all: write → last client, ms", 0],
  ["allSpread", "  first → last client, ms", 0],
  ["allFrameUs", "  CPU a frame, µs", 1],
  ["allBlock", "  longest block of the loop, ms", 1],
  ["otherQuietP50", "room of 20, quiet: write → client p50, ms", 1],
  ["otherQuietP99", "  p99", 1],
  ["otherBusyP50", "room of 20 beside events to all: p50, ms", 1],
  ["otherBusyP99", "  p99", 1],
  ["manyPerSecond", "rooms of 20: events a second", 0],
  ["manyCpu", "  CPU, % of a core", 1],
  ["manyFrameUs", "  CPU a frame, µs", 1],
  ["manyP50", "  write → client p50, ms", 0],
  ["manyP99", "  p99", 0],
  ["stormSeconds", "all connect again: seconds", 1],
  ["stormMs", "  CPU a socket, ms", 2],
  ["stormDatabaseMs", "  of Postgres, ms", 2],
  ["stormP99", "  until ready, p99 ms", 0],
  ["stormEvents", "  events that were replayed", 0],
  ["outOfOrder", "events missed or out of order", 0],
];

/** Each figure, and Taskwire's as a multiple of the first peer's. */
function print(names: string[], columns: Figures[]): void {
  const mine = names.indexOf("Taskwire");
  const peer = names.findIndex((name) => name.startsWith("bare socket.io"));
  say(
    `\n${"".padEnd(44)}${names.map((name) => name.padStart(16)).join("")}${mine >= 0 && peer >= 0 ? "ratio".padStart(9) : ""}`,
  );
  for (const [name, label, digits] of ROWS) {
    if (columns.every((figures) => figures[name] === undefined)) continue;
    const cells = columns.map((figures) => {
      const value = figures[name] as number;
      return value
        .toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })
        .padStart(16);
    });
    const ratio = (columns[mine]?.[name] ?? NaN) / (columns[peer]?.[name] ?? NaN);
    say(label.padEnd(44) + cells.join("") + (Number.isFinite(ratio) ? ratio.toFixed(2).padStart(9) : ""));
  }
}

async function main(): Promise<void> {
  say("starting Postgres, NATS, Redis and Taskwire");
  const dir = await mkdtemp(join(tmpdir(), "taskwire-bench-"));
  ends.push(() => rm(dir, { recursive: true, force: true }));
  // Postgres never runs as root: its own user must reach the folder.
  await chmod(dir, 0o755);
  const postgres = await startPostgres({ dir: join(dir, "postgres"), durable: false });
  ends.push(() => postgres.stop());
  await migrate(postgres.url);
  const [nats, redis] = await Promise.all([startNats(), startRedis()]);
  ends.push(
    () => nats.stop(),
    () => redis.stop(),
  );
  const [port, notifierPort] = [await freePort(), await freePort()];
  const env = {
    NODE_ENV: "production",
    DATABASE_URL: postgres.url,
    NATS_URL: nats.url,
    REDIS_URL: redis.url,
    JWT_SECRET: randomBytes(32).toString("base64url"),
    NAMESPACE: `bench-${randomBytes(4).toString("hex")}`,
    ACCESS_TOKEN_TTL: "7200",
    RATE_LIMIT_DEFAULT: "1000000/60",
    RATE_LIMIT_AUTH: "1000/60",
    LOG_JSON: "true",
    DRAIN_SECONDS: "1",
  };
  const nodes = new Nodes();
  ends.push(() => nodes.stop());
  await nodes.start(dir, {
    rest: {
      ...env,
      NODE_ID: "rest",
      SERVICES: "api-gateway,auth,users,projects,tasks,mailer,jobs",
      PORT: String(port),
      OPS_PORT: String(await freePort()),
    },
    notifier: {
      ...env,
      NODE_ID: "notifier",
      // As compose.yaml and k8s/ start it.
      NODE_OPTIONS: "--max-semi-space-size=16",
      SERVICES: "notifier",
      NOTIFIER_PORT: String(notifierPort),
      OPS_PORT: String(await freePort()),
    },
  });
  const api = clientOf(port);
  const { id, token } = await api.register("writer");
  say(`making ${SOCKETS.toLocaleString("en")} users in teams of ${TEAM}`);
  const world = await makeWorld(postgres.url, env, id, SOCKETS);

  say(`measuring: node ${process.version}, ${availableParallelism()} CPUs`);
  const names: string[] = [];
  const columns: Figures[] = [];
  for (const kind of options.servers.split(",") as ("taskwire" | "socket.io" | "ws")[]) {
    const server =
      kind === "taskwire"
        ? notifierOf(nodes, notifierPort, postgres.pid, { api, token }, world)
        : await startPeer(kind, env, world);
    const crowd = new Crowd();
    const auths = world.members.map((member) => server.authOf(member));
    try {
      columns.push(await measure(server, crowd, auths));
      names.push(server.name);
    } finally {
      crowd.stop();
      await server.stop();
    }
  }
  print(names, columns);
}

let code = 0;
for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => void endAll().finally(() => process.exit(130)));
try {
  await main();
} catch (error) {
  process.stderr.write(`bench:sockets: ${(error as Error).stack}\n`);
  code = 1;
}
await endAll();
process.exit(code);
