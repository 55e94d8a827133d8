import process from "node:process";
import type { ServiceBroker } from "moleculer";
import { type Config, ConfigError, loadConfig, SERVICES } from "./core/config.ts";
import { type EmbeddedDatabase, InUseError, startEmbedded } from "./local/embedded.ts";
import { startNode } from "./node.ts";

const say = (line: string): void => void process.stdout.write(`${line}\n`);

/** One line that says what to do, and no stack trace. */
function giveUp(message: string): never {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

const everything = (config: Config): boolean => SERVICES.every((name) => config.SERVICES.includes(name));

function banner(config: Config, embedded: EmbeddedDatabase | null): string {
  const origin = `http://${config.HOST === "0.0.0.0" ? "127.0.0.1" : config.HOST}:${config.PORT}`;
  if (!everything(config)) {
    const reach = config.NATS_URL === "" ? " (no NATS_URL: no other node can reach it)" : "";
    return `Taskwire: ${config.SERVICES.join(", ")} running${reach}`;
  }
  return [
    "",
    `  Taskwire is running at ${origin}, sockets at ${origin}/ws`,
    `  Its API, to read and to try: ${origin}/docs`,
    ...(embedded ? [`  Its data lies in ${embedded.dir}`] : []),
    "",
    "  Register somebody, then log in:",
    "",
    `  curl ${origin}/auth/register -H 'Content-Type: application/json' \\`,
    `    -d '{"email":"ada@example.com","username":"ada","password":"correct horse"}'`,
    "",
    "  README.md goes on from here; `npm run seed` fills in a demo. Ctrl-C stops it.",
    "",
  ].join("\n");
}

async function main(): Promise<void> {
  let config: Config;
  try {
    config = loadConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) giveUp(error.message);
    throw error;
  }

  let embedded: EmbeddedDatabase | null = null;
  let broker: ServiceBroker | null = null;
  let stopping = false;

  async function stop(reason: string): Promise<void> {
    if (stopping) return;
    stopping = true;
    say(`Taskwire: stopping (${reason})`);
    let failed = false;
    for (const part of [broker, embedded])
      await part?.stop().catch((error: unknown) => {
        failed = true;
        process.stderr.write(`Taskwire: could not stop cleanly: ${String(error)}\n`);
      });
    process.exit(failed ? 1 : 0);
  }
  process.on("SIGINT", () => void stop("Ctrl-C"));
  process.on("SIGTERM", () => void stop("SIGTERM"));
  // Whoever started us died without a word (local/process-group.ts): there is nobody to write to either.
  process.on("disconnect", () => void stop("its parent is gone"));
  process.stdout.on("error", () => {});
  process.stderr.on("error", () => {});

  if (config.DATABASE_URL === "") {
    const who = `pid ${process.pid} at port ${config.PORT}`;
    try {
      embedded = await startEmbedded(config.DATA_DIR, who, say);
    } catch (error) {
      if (error instanceof InUseError)
        giveUp(
          `Taskwire runs already (${error.message}). Stop it first, or set DATA_DIR and PORT for a second one.`,
        );
      giveUp(`Taskwire: ${(error as Error).message}`);
    }
    config = { ...config, DATABASE_URL: embedded.url };
  }
  try {
    broker = await startNode(config);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    process.stderr.write(
      code === "EADDRINUSE"
        ? `Taskwire: port ${config.PORT} is taken. Set PORT (or NOTIFIER_PORT) to a free one.\n`
        : `Taskwire: ${message}\n`,
    );
    await embedded?.stop();
    process.exit(1);
  }
  say(banner(config, embedded));
  // Whoever started us (local/cluster.ts) counts on all services, wherever they run.
  if (process.send) {
    const found = broker.waitForServices([...SERVICES], 60_000, 50);
    await found.then(() => process.send?.("ready")).catch(() => stop("the other services did not come up"));
  }
}

await main();
