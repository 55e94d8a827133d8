/** `npm run cluster`: every service in a process of its own over real NATS, Redis and Postgres, with one log. */
import { join } from "node:path";
import { ConfigError, loadConfig } from "../core/config.ts";
import { isForPeople } from "../core/logger.ts";
import { explain } from "../core/explain.ts";
import { originOf } from "../core/origin.ts";
import { type Ports, clusterNodes, startCluster } from "../local/cluster.ts";
import { InUseError, startEmbedded } from "../local/embedded.ts";
import { startNats } from "../local/nats.ts";
import { mustBeFree } from "../local/check-ports.ts";
import { Program, type Starting } from "../local/program.ts";
import { startRedis } from "../local/redis.ts";
import type { LocalServer } from "../local/server-process.ts";
import { databaseAnswers } from "../migrations/ready.ts";
import { migrate } from "../migrations/migrate.ts";

/** The ports of gateway and notifiers, one after another; those of the metrics likewise, from OPS_PORT on. */
async function takePorts(host: string, first: number, ops: number): Promise<Ports> {
  const ports: Ports = { gateway: first, notifiers: [first + 1, first + 2], ops };
  const last = Object.keys(clusterNodes(ports)).length - 1;
  if (first + 2 > 65_535 || ops + last > 65_535)
    throw new Error("the cluster needs more ports after PORT and OPS_PORT: set both to lower ones");
  const wanted = [first, ...ports.notifiers].map((port) => ({
    variable: "PORT, the first of three,",
    port,
  }));
  for (let at = 0; ops !== 0 && at <= last; at++)
    wanted.push({ variable: `OPS_PORT, the first of ${last + 1},`, port: ops + at });
  await mustBeFree(host, wanted);
  return ports;
}

function banner(
  host: string,
  ports: Ports,
  group: { list(): { name: string; pid?: number | undefined }[] },
): string {
  const origin = originOf(host, ports.gateway);
  const sockets = ports.notifiers.map((port) => `${originOf(host, port)}/ws`);
  return [
    "",
    `  Taskwire's cluster is running: REST at ${origin}, to read and to try at ${origin}/docs`,
    `  Sockets at ${sockets.join(" and ")}`,
    `  Process ids: ${group
      .list()
      .map(({ name, pid }) => `${name} ${pid}`)
      .join(", ")}`,
    "  Kill one with kill -9: it starts again half a second later, and this terminal says so.",
    "  `npm run seed` fills in a demo; README.md has a tour. Ctrl-C stops it.",
    "",
  ].join("\n");
}

async function start({ signal, say, own }: Starting): Promise<void> {
  const config = loadConfig(process.env);
  const ports = await takePorts(config.HOST, config.PORT, config.OPS_PORT);

  let { DATABASE_URL } = config;
  if (DATABASE_URL === "") {
    const who = `the cluster, pid ${process.pid}, port ${config.PORT}`;
    const db = await startEmbedded(config.DATA_DIR, who, say, signal);
    own({ name: "Postgres", stop: () => db.stop() });
    DATABASE_URL = db.url;
    say(`Postgres: its data lies in ${join(config.DATA_DIR, "postgres")}`);
  } else {
    await databaseAnswers(DATABASE_URL, { say, signal });
    await migrate(DATABASE_URL, say);
  }

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

  say(`Starting ${Object.keys(clusterNodes(ports)).join(", ")}, and waiting until all of them serve`);
  const { group } = await startCluster({ DATABASE_URL, NATS_URL, REDIS_URL }, ports, {
    out: process.stdout,
    // The nodes write to this process: it knows whether people read along.
    env: { LOG_JSON: String(!isForPeople(config)) },
    onWait: (nodes) => {
      if (!signal.aborted) say(`Taskwire: still waiting for ${nodes.join(", ")}`);
    },
    signal,
    own: (nodes) => own({ name: "the nodes", stop: () => nodes.stopAll(), force: () => nodes.killAll() }),
  });
  if (signal.aborted) return;
  group.keepAlive((line) => say(`Taskwire: ${line}`));
  say(banner(config.HOST, ports, group));
}

/** One line that says what to do next. */
function describe(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof InUseError) return `Taskwire runs already (${error.message}). Stop it first.`;
  return `Taskwire: ${explain(error)}`;
}

await new Program().run(start, describe);
