/**
 * `npm run cluster`: every service in processes of its own over real NATS, Redis and Postgres, with one log, behind a proxy
 * at PORT. `-- --gateways 2 --tasks 3 --notifiers 2` says how many of each.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { type Config, ConfigError, loadConfig } from "../core/config.ts";
import { connectionsOf } from "../core/connections.ts";
import { explain } from "../core/explain.ts";
import { isForPeople } from "../core/logger.ts";
import { originOf } from "../core/origin.ts";
import { startCluster } from "../local/cluster.ts";
import { clusterNodes, type Ports, portsAfter, type Sizes } from "../local/cluster-layout.ts";
import { readSizes } from "../local/cluster-options.ts";
import { InUseError, startEmbedded } from "../local/embedded.ts";
import { writeEnvFile } from "../local/env-file.ts";
import { startNats } from "../local/nats.ts";
import { mustBeFree } from "../local/check-ports.ts";
import { Program, type Starting } from "../local/program.ts";
import { NODES_HOST, ReverseProxy } from "../local/reverse-proxy.ts";
import { startRedis } from "../local/redis.ts";
import type { LocalServer } from "../local/server-process.ts";
import { databaseAnswers, mustBeMigrated } from "../migrations/ready.ts";
import { migrate } from "../migrations/migrate.ts";
import { describeShortage, usableConnections } from "../mixins/connection-budget.ts";

/** The ports of notifiers and gateways, from the one after PORT on; those of the metrics likewise, from OPS_PORT on. */
async function takePorts({ HOST, PORT, OPS_PORT }: Config, sizes: Sizes): Promise<Ports> {
  const ports = portsAfter(PORT, sizes, OPS_PORT);
  const own = [...ports.notifiers, ...ports.gateways];
  const count = Object.keys(clusterNodes(ports, sizes)).length;
  if (Math.max(...own, OPS_PORT + count - 1) > 65_535)
    throw new Error("the cluster needs more ports after PORT and OPS_PORT: set both to lower ones");
  const variable = `PORT, the first of ${own.length + 1},`;
  await mustBeFree(HOST, [{ variable, port: PORT }]);
  const wanted = own.map((port) => ({ variable, port }));
  for (let at = 0; OPS_PORT !== 0 && at < count; at++)
    wanted.push({ variable: `OPS_PORT, the first of ${count},`, port: OPS_PORT + at });
  await mustBeFree(NODES_HOST, wanted);
  return ports;
}

/** Says when these nodes may open more connections than Postgres takes. */
async function sayShortage(
  config: Config,
  nodes: Record<string, Record<string, string>>,
  say: (line: string) => void,
): Promise<void> {
  const counts = Object.values(nodes).map(({ SERVICES }) =>
    connectionsOf({ ...config, SERVICES: SERVICES?.split(",") as Config["SERVICES"] }),
  );
  const most = counts.reduce((sum, count) => sum + count, 0);
  const client = new pg.Client({ connectionString: config.DATABASE_URL, connectionTimeoutMillis: 5000 });
  client.on("error", () => {});
  await client.connect();
  const usable = await usableConnections(client).finally(() => client.end());
  if (most > usable) say(`Taskwire: ${describeShortage(counts.length, most, usable)}`);
}

interface Running {
  config: Config;
  ports: Ports;
  group: { list(): { name: string; pid?: number | undefined }[] };
  envFile: string;
}

function banner({ config, ports, group, envFile }: Running): string {
  const origin = originOf(config.HOST, config.PORT);
  const list = (nodes: number[]): string => nodes.map((port) => originOf(NODES_HOST, port)).join(" and ");
  return [
    "",
    `  Taskwire's cluster is running: open ${origin}/app`,
    `  Its API, to read and to try: ${origin}/docs`,
    `  A proxy leads sockets to the notifiers at ${list(ports.notifiers)}`,
    `  and all else to the gateway at ${list(ports.gateways)}`,
    `  Process ids: ${group
      .list()
      .map(({ name, pid }) => `${name} ${pid}`)
      .join(", ")}`,
    "  Kill one with kill -9: it starts again half a second later, and this terminal says so.",
    `  One more tasks node: SERVICES=tasks node --env-file=${envFile} main.mjs`,
    "  `npm run seed` fills in a demo; README.md has a tour. Ctrl-C stops it.",
    "",
  ].join("\n");
}

async function start({ signal, say, own }: Starting): Promise<void> {
  const sizes = readSizes(process.argv.slice(2));
  const config = loadConfig(process.env);
  const ports = await takePorts(config, sizes);

  let { DATABASE_URL } = config;
  if (DATABASE_URL === "") {
    const who = `the cluster, pid ${process.pid}, port ${config.PORT}`;
    const db = await startEmbedded(config.DATA_DIR, who, say, signal);
    own({ name: "Postgres", stop: () => db.stop() });
    DATABASE_URL = db.url;
    say(`Postgres: its data lies in ${join(config.DATA_DIR, "postgres")}`);
  } else {
    await databaseAnswers(DATABASE_URL, { say, signal });
    // Production runs a migration that somebody approved, by `npm run migrate`.
    if (config.production) await mustBeMigrated(DATABASE_URL);
    else await migrate(DATABASE_URL, say);
  }
  const nodes = clusterNodes(ports, sizes);
  await sayShortage({ ...config, DATABASE_URL }, nodes, say);

  /** The server that the environment names, or one that ends with this program. */
  const take = async (name: string, url: string, run: () => Promise<LocalServer>): Promise<string> => {
    signal.throwIfAborted();
    if (url !== "") return url;
    say(`${name}: starting`);
    const server = await run();
    own({ name, stop: () => server.stop(), force: () => void server.kill() });
    return server.url;
  };
  const NATS_URL = await take("NATS", config.NATS_URL, () => startNats({ onProgress: say }));
  const REDIS_URL = await take("Redis", config.REDIS_URL, () => startRedis({ onProgress: say }));
  signal.throwIfAborted();

  // Its clients are told that nothing serves yet; it ends after the nodes, which finish what is under way.
  const proxy = await ReverseProxy.listen({ host: config.HOST, port: config.PORT, ...ports });
  own({ name: "the proxy", stop: () => proxy.close() });
  say(`Starting ${Object.keys(nodes).join(", ")}, and waiting until all of them serve`);
  const { group, shared } = await startCluster({ DATABASE_URL, NATS_URL, REDIS_URL }, ports, {
    out: process.stdout,
    env: {
      // The nodes write to this process: it knows whether people read along.
      LOG_JSON: String(!isForPeople(config)),
      // From elsewhere they are reached by the proxy alone, which says whom it asks for.
      HOST: NODES_HOST,
      TRUST_PROXY: String(config.TRUST_PROXY + 1),
      APP_URL: config.APP_URL,
    },
    sizes,
    onWait: (names) => {
      if (!signal.aborted) say(`Taskwire: still waiting for ${names.join(", ")}`);
    },
    signal,
    own: (started) =>
      own({ name: "the nodes", stop: () => started.stopAll(), force: () => started.killAll() }),
  });
  if (signal.aborted) return;
  await mkdir(config.DATA_DIR, { recursive: true });
  const envFile = join(config.DATA_DIR, "cluster.env");
  own({ name: envFile, stop: await writeEnvFile(envFile, shared) });
  group.keepAlive((line) => say(`Taskwire: ${line}`));
  say(banner({ config, ports, group, envFile }));
}

/** One line that says what to do next. */
function describe(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof InUseError) return `Taskwire runs already (${error.message}). Stop it first.`;
  return `Taskwire: ${explain(error)}`;
}

await new Program().run(start, describe);
