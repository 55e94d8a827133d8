import process from "node:process";
import { type Config, ConfigError, loadConfig, SERVICES } from "./core/config.ts";
import { explain } from "./core/explain.ts";
import { originOf } from "./core/origin.ts";
import { type EmbeddedDatabase, InUseError, startEmbedded } from "./local/embedded.ts";
import { mustBeFree, portsOf } from "./local/check-ports.ts";
import { startDemo } from "./local/demo.ts";
import { Program, type Starting } from "./local/program.ts";
import { databaseAnswers, mustBeMigrated } from "./migrations/ready.ts";
import { startNode } from "./node.ts";

const everything = (config: Config): boolean => SERVICES.every((name) => config.SERVICES.includes(name));

function banner(config: Config, embedded: EmbeddedDatabase | null): string {
  if (!everything(config)) {
    const reach = config.NATS_URL === "" ? " (no NATS_URL: no other node can reach it)" : "";
    return `Taskwire: ${config.SERVICES.join(", ")} running${reach}`;
  }
  const origin = originOf(config.HOST, config.PORT);
  const all = ["0.0.0.0", "::"].includes(config.HOST)
    ? `, and at port ${config.PORT} of every address of this machine`
    : "";
  return [
    "",
    `  Taskwire is running: open ${origin}/app${all}`,
    `  What happens there, event by event: ${origin}/events`,
    `  Sockets at ${origin}/ws`,
    `  Its API, to read and to try: ${origin}/docs`,
    ...(embedded ? [`  Its data lies in ${embedded.dir}`] : []),
    "",
    "  What to do next, in a second terminal:",
    "",
    "    npm run seed      fills in a demo of five people, five projects and 500 tasks (`npm start -- --demo`: 150)",
    "    npm run admin     -- you@example.com makes you admin",
    "",
    "  or register somebody, as README.md's tour does:",
    "",
    `  curl '${origin}/auth/register' -H 'Content-Type: application/json' \\`,
    `    -d '{"email":"ada@example.com","username":"ada","password":"correct horse"}'`,
    "",
    "  Ctrl-C stops it.",
    "",
  ].join("\n");
}

/** Anything can be thrown; the log and a report show an error. */
const faultOf = (thrown: unknown): Error => (thrown instanceof Error ? thrown : new Error(String(thrown)));

/** One line that says what to do next. */
function describe(error: unknown): string {
  if (error instanceof ConfigError) return error.message;
  if (error instanceof InUseError)
    return `Taskwire runs already (${error.message}). Stop it first, or set DATA_DIR and PORT for a second one.`;
  const { code } = error as NodeJS.ErrnoException;
  if (code === "EADDRINUSE")
    return `Taskwire: ${explain(error)}: set PORT, NOTIFIER_PORT or OPS_PORT to a free one`;
  return `Taskwire: ${explain(error)}`;
}

async function start(program: Program, { signal, say, own }: Starting): Promise<void> {
  let config = loadConfig(process.env);
  const wantsDemo = process.argv.includes("--demo");
  if (wantsDemo && config.production)
    throw new ConfigError(
      "--demo: the demo's accounts have passwords that everybody knows, so production has none",
    );
  if (config.ADMIN_PASSWORD !== "") {
    const { isCommonPassword } = await import("./services/users/common-passwords.ts");
    if (isCommonPassword(config.ADMIN_PASSWORD))
      throw new ConfigError("ADMIN_PASSWORD: is one of the most common passwords, choose another one");
  }
  await mustBeFree(config.HOST, portsOf(config));

  let embedded: EmbeddedDatabase | null = null;
  if (config.DATABASE_URL === "") {
    const who = `pid ${process.pid} at port ${config.PORT}`;
    const db = await startEmbedded(config.DATA_DIR, who, say, signal);
    own({ name: "Postgres", stop: () => db.stop() });
    config = { ...config, DATABASE_URL: db.url };
    embedded = db;
  } else {
    await databaseAnswers(config.DATABASE_URL, { say, signal });
    await mustBeMigrated(config.DATABASE_URL);
  }
  signal.throwIfAborted();

  const broker = await startNode(config, (what) => {
    if (!signal.aborted) say(`Taskwire: still starting, waiting for ${what}`);
  });
  own({ name: "requests under way", stop: () => broker.stop(), force: () => {} });
  // The program stops after a fault (local/program.ts): its line in the log, and the report of it, come first.
  process.on("uncaughtExceptionMonitor", (error: unknown) =>
    broker.logger.fatal("this process ends after a fault", faultOf(error)),
  );
  if (signal.aborted) return;
  say(banner(config, embedded));
  if (wantsDemo) own(startDemo(originOf(config.HOST, config.PORT), say));
  // The parent process (local/cluster.ts) waits until all services run, on whichever node.
  if (process.send) {
    const found = broker.waitForServices([...SERVICES], 60_000, 50);
    found
      .then(() => process.send?.("ready"))
      .catch(() =>
        program.stop("the other services did not start within 60 s: see the logs of their nodes", 1),
      );
  }
}

const program = new Program();
await program.run((starting) => start(program, starting), describe);
