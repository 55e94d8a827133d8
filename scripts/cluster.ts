/** `npm run cluster`: every service in a process of its own over real NATS, Redis and Postgres, with one log. */
import { join } from "node:path";
import { ConfigError, loadConfig } from "../core/config.ts";
import { isTaken, startCluster } from "../local/cluster.ts";
import { InUseError, startEmbedded } from "../local/embedded.ts";
import { startNats } from "../local/nats.ts";
import { startRedis } from "../local/redis.ts";
import { migrate } from "../migrations/migrate.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const started: { stop(): Promise<void> }[] = [];
let stopping = false;

async function stop(code: number): Promise<never> {
  if (!stopping) {
    stopping = true;
    // Nodes first, what they need after them.
    for (const part of started.reverse()) await part.stop();
  }
  process.exit(code);
}

/** Takes the server that the environment names, or starts one that ends with us. */
async function take(
  url: string,
  start: () => Promise<{ url: string; stop(): Promise<void> }>,
): Promise<string> {
  if (url !== "") return url;
  const server = await start();
  started.push(server);
  return server.url;
}

async function main(): Promise<void> {
  const config = loadConfig(process.env);
  const ports = { gateway: config.PORT, notifiers: [config.PORT + 1, config.PORT + 2] as [number, number] };
  for (const port of [ports.gateway, ...ports.notifiers])
    if (await isTaken(port))
      throw new Error(`port ${port} is taken: set PORT to the first of three free ones`);

  const DATABASE_URL = await take(config.DATABASE_URL, () =>
    startEmbedded(config.DATA_DIR, `the cluster, pid ${process.pid}, port ${config.PORT}`, say),
  );
  if (config.DATABASE_URL !== "") await migrate(DATABASE_URL, say);
  const NATS_URL = await take(config.NATS_URL, startNats);
  const REDIS_URL = await take(config.REDIS_URL, startRedis);
  say(`nats at ${new URL(NATS_URL).host}, redis at ${new URL(REDIS_URL).host}; starting the nodes`);

  const { group } = await startCluster({ DATABASE_URL, NATS_URL, REDIS_URL }, ports, process.stdout);
  started.push({ stop: () => group.stopAll() });
  say(
    [
      "",
      `  Taskwire's cluster is running: REST at http://127.0.0.1:${ports.gateway}`,
      `  sockets at ${ports.notifiers.map((port) => `http://127.0.0.1:${port}/ws`).join(" and ")}`,
      `  Process ids, to kill one: ${group
        .list()
        .map(({ name, pid }) => `${name} ${pid}`)
        .join(", ")}`,
      ...(config.DATABASE_URL === "" ? [`  Its data lies in ${join(config.DATA_DIR, "postgres")}`] : []),
      "  Ctrl-C stops it.",
      "",
    ].join("\n"),
  );
}

process.on("SIGINT", () => void stop(0));
process.on("SIGTERM", () => void stop(0));

try {
  await main();
} catch (error) {
  const { message } = error as Error;
  const known = error instanceof ConfigError || error instanceof InUseError;
  process.stderr.write(
    known && error instanceof InUseError
      ? `Taskwire runs already (${message}). Stop it first.\n`
      : `${message}\n`,
  );
  await stop(1);
}
