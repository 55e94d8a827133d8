/** The servers that `npm run bench` measures, each on a copy of the same database. */
import { randomInt } from "node:crypto";
import { fileURLToPath } from "node:url";
import { startCluster } from "../../local/cluster.ts";
import { freePort } from "../../local/ports.ts";
import { ProcessGroup } from "../../local/process-group.ts";
import type { Processes } from "../cpu.ts";
import { startFastapi } from "./fastapi.ts";
import { lastLines, type Start } from "./ground.ts";
import type { Server } from "./measure.ts";
import type { Part, ServerName } from "./options.ts";

/**
 * Production's settings. The budgets of the rate limits are counted as usual and never reached, and a session outlasts the
 * bench. The request log goes to files. Only passwords are cheaper than production's, which are hashed at cost 12.
 */
const PRODUCTION = {
  NODE_ENV: "production",
  LOG_LEVEL: "info",
  LOG_JSON: "true",
  RATE_LIMIT_DEFAULT: "100000000/3600",
  RATE_LIMIT_AUTH: "100000000/3600",
  BCRYPT_COST: "10",
  ACCESS_TOKEN_TTL: "7200",
  DRAIN_SECONDS: "0",
  SMTP_URL: "",
};
const ALONE = { SERVICES: "all", NATS_URL: "", REDIS_URL: "" };

const WITHOUT: Record<Part, Record<string, string>> = {
  log: { LOG_LEVEL: "warn" },
  // Production does not let itself be set so.
  limits: { RATE_LIMIT: "off", NODE_ENV: "test" },
  redis: { REDIS_URL: "" },
};

/** Where the first of a cluster's ports of metrics lies: below those that `freePort` finds. */
const OPS_PORTS = [12_000, 19_000] as const;

const program = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const MAIN = program("../../main.ts");

const environment = ({ ground, inspected }: Start, url: string): Record<string, string> => ({
  ...PRODUCTION,
  DATABASE_URL: url,
  JWT_SECRET: ground.secret,
  // The log of each process then says where its debugger listens (profile.ts).
  NODE_OPTIONS: inspected ? "--inspect=127.0.0.1:0" : "",
});

/**
 * Processes that send a message once they serve.
 * @throws Error with the last lines of one that ends before
 */
async function startAll(
  own: Start["own"],
  logs: string,
  main: string,
  nodes: Record<string, Record<string, string>>,
): Promise<ProcessGroup> {
  const group = new ProcessGroup({ command: process.execPath, args: [main], out: { folder: logs } });
  own({ name: Object.keys(nodes).join(", "), stop: () => group.stopAll() });
  const serving = Object.entries(nodes).map(async ([name, env]) => {
    const child = group.start({ name, env });
    const isReady = await new Promise<boolean>((settle) => {
      child.once("message", () => settle(true));
      child.once("exit", () => settle(false));
    });
    if (!isReady) throw new Error(`${name} ended before it served:\n${await lastLines(logs)}`);
  });
  await Promise.all(serving);
  return group;
}

/** The processes of a server: its nodes, brokers, and those of Postgres that work for its database. */
const processesOf =
  ({ ground }: Start, database: string, group: ProcessGroup, brokers: Record<string, number> = {}) =>
  async (): Promise<Processes> =>
    new Map<string, readonly number[]>([
      ...group.list().map(({ name, pid }) => [name, [pid as number]] as const),
      ...Object.entries(brokers).map(([name, pid]) => [name, [pid]] as const),
      ["Postgres", await ground.backends(database)] as const,
    ]);

/** Each service in a process of its own, over NATS and Redis. */
export async function startBenchCluster(start: Start, without?: Part): Promise<Server> {
  const { ground, own } = start;
  const { nats, redis } = ground;
  const name = without === undefined ? "cluster" : `cluster-without-${without}`;
  const [url, logs, port] = [await ground.copy(name), await ground.logsOf(name), await freePort()];
  let started: ProcessGroup | undefined;
  own({ name, stop: async () => started?.stopAll() });
  try {
    const { group } = await startCluster(
      { DATABASE_URL: url, NATS_URL: nats.url, REDIS_URL: redis.url },
      { gateways: [port], notifiers: [await freePort()], ops: randomInt(...OPS_PORTS) },
      {
        sizes: { tasks: 1 },
        out: { folder: logs },
        env: { ...environment(start, url), ...(without && WITHOUT[without]) },
        own: (group) => (started = group),
      },
    );
    const processes = processesOf(start, name, group, { NATS: nats.pid, Redis: redis.pid });
    return { name, port, logs, processes };
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${await lastLines(logs)}`, { cause: error });
  }
}

/** All services in one process, with its cache in memory. */
export async function startSingle(
  start: Start,
  url: string,
  name = "single",
): Promise<Server & { stop(): Promise<void> }> {
  const { ground, own } = start;
  const [logs, port] = [await ground.logsOf(name), await freePort()];
  const env = {
    ...environment(start, url),
    ...ALONE,
    PORT: String(port),
    OPS_PORT: String(await freePort()),
  };
  const group = await startAll(own, logs, MAIN, { taskwire: env });
  return { name, port, logs, processes: processesOf(start, name, group), stop: () => group.stopAll() };
}

/** fastify and pg in one process. */
async function startBare(start: Start): Promise<Server> {
  const { ground, own } = start;
  const [url, logs, port] = [await ground.copy("bare"), await ground.logsOf("bare"), await freePort()];
  const env = { ...environment(start, url), ...ALONE, PORT: String(port) };
  const group = await startAll(own, logs, program("../peers/bare.ts"), { server: env });
  return { name: "bare", port, logs, processes: processesOf(start, "bare", group) };
}

/** moleculer-web in one process, and pg in another one behind NATS. */
async function startSkeleton(start: Start): Promise<Server> {
  const { ground, own } = start;
  const { nats } = ground;
  const name = "skeleton";
  const [url, logs, port] = [await ground.copy(name), await ground.logsOf(name), await freePort()];
  const env = {
    ...environment(start, url),
    ...ALONE,
    NATS_URL: nats.url,
    NAMESPACE: "skeleton",
    PORT: String(port),
  };
  const group = await startAll(own, logs, program("../peers/skeleton.ts"), {
    gateway: { ...env, SERVICES: "api-gateway" },
    tasks: { ...env, SERVICES: "tasks" },
  });
  return { name, port, logs, processes: processesOf(start, name, group, { NATS: nats.pid }) };
}

const STARTS: Record<ServerName, (start: Start) => Promise<Server | null>> = {
  cluster: (start) => startBenchCluster(start),
  single: async (start) => startSingle(start, await start.ground.copy("single")),
  skeleton: startSkeleton,
  bare: startBare,
  fastapi: startFastapi,
};

/**
 * Starts servers, one after the other.
 * @param names null for all that this machine can run
 * @throws Error when one that was named can't run here
 */
export async function startServers(
  start: Start,
  names: ServerName[] | null,
  without: Part[],
): Promise<Server[]> {
  const servers: Server[] = [];
  for (const name of names ?? (Object.keys(STARTS) as ServerName[])) {
    start.say(`starting ${name}`);
    const server = await STARTS[name](start);
    if (server !== null) servers.push(server);
    else if (names !== null) throw new Error(`${name} can't run here`);
    if (name === "cluster") for (const part of without) servers.push(await startBenchCluster(start, part));
  }
  return servers;
}
