/**
 * `npm run loadtest -- mixed [--minutes 3] [--start one|cluster] [--runner k6|node]`: runs a script of loadtest/ with k6
 * where that is on the PATH, else with the Node runner of loadtest/runner. It loads BASE_URL, or a system that `--start`
 * brings up on 127.0.0.1, with a Postgres of its own. loadtest/README.md has all settings.
 */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { accessSync, constants, readdirSync } from "node:fs";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { explain } from "../core/explain.ts";
import { taskwireUrl } from "../core/origin.ts";
import { startCluster } from "../local/cluster.ts";
import { clusterNodes, type Ports } from "../local/cluster-layout.ts";
import { startNats } from "../local/nats.ts";
import { freePort } from "../local/ports.ts";
import { startPostgres } from "../local/postgres.ts";
import { ProcessGroup } from "../local/process-group.ts";
import { Program, type Starting } from "../local/program.ts";
import { startRedis } from "../local/redis.ts";
import { migrate } from "../migrations/migrate.ts";

const FOLDER = fileURLToPath(new URL("../loadtest", import.meta.url));
const TESTS = readdirSync(FOLDER)
  .filter((file) => file.endsWith(".js"))
  .map((file) => file.slice(0, -".js".length));
const USAGE = `npm run loadtest -- ${TESTS.join("|")} [--minutes N] [--start one|cluster] [--runner k6|node]`;

/**
 * The environment of a system that is started here: production's, its rate limits too. Each user of a test has an address
 * of its own in X-Forwarded-For, as behind a proxy, so that the budgets of an address are those of one user.
 */
const ENVIRONMENT = {
  NODE_ENV: "production",
  JWT_SECRET: randomBytes(32).toString("base64url"),
  // Production's 12 makes a login four times as dear: setup alone would take minutes.
  BCRYPT_COST: "10",
  TRUST_PROXY: "1",
  // All connections come from one address here; a proxy would have to limit them.
  CONNECTIONS_PER_ADDRESS: "0",
  LOG_LEVEL: "warn",
  LOG_JSON: "true",
};

/** One line for each user who registers: mails go nowhere here. */
const DROPPED_MAIL = /mail is switched off/;
const out = (node: string, line: string): void => {
  if (!DROPPED_MAIL.test(line)) process.stdout.write(`${node} | ${line}\n`);
};

/** What a script is told about the system. */
type Target = Record<"BASE_URL" | "SOCKET_URLS" | "METRICS_URLS" | "FORWARDED", string>;

class UsageError extends Error {}

interface Arguments {
  test: string;
  minutes: string | undefined;
  start: "one" | "cluster" | undefined;
  runner: "k6" | "node";
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? "").split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** @throws UsageError */
function parse(): Arguments {
  const options = {
    minutes: { type: "string" },
    start: { type: "string" },
    runner: { type: "string" },
  } as const;
  const { values, positionals } = (() => {
    try {
      return parseArgs({ allowPositionals: true, options });
    } catch (error) {
      throw new UsageError((error as Error).message);
    }
  })();
  const [test = "", ...more] = positionals;
  const { minutes, start, runner = isOnPath("k6") ? "k6" : "node" } = values;
  if (!TESTS.includes(test) || more.length > 0) throw new UsageError(`name one of ${TESTS.join(", ")}`);
  if (minutes !== undefined && !(Number(minutes) > 0))
    throw new UsageError("--minutes takes a positive number");
  if (start !== undefined && start !== "one" && start !== "cluster")
    throw new UsageError("--start takes one or cluster");
  if (runner !== "k6" && runner !== "node") throw new UsageError("--runner takes k6 or node");
  if (runner === "k6" && !isOnPath("k6")) throw new UsageError("k6 is not on the PATH");
  return { test, minutes, start, runner };
}

/** @returns the URL of a new, durable and migrated database */
async function startDatabase({ own, say }: Starting): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), "taskwire-loadtest-"));
  // Postgres never runs as root: its own user must reach the folder.
  await chmod(dir, 0o755);
  own({ name: "the folder", stop: () => rm(dir, { recursive: true, force: true }) });
  say("Postgres: starting");
  const postgres = await startPostgres({ dir: join(dir, "postgres"), durable: true });
  own({ name: "Postgres", stop: () => postgres.stop() });
  await migrate(postgres.url);
  return postgres.url;
}

async function startOne(starting: Starting): Promise<Target> {
  const DATABASE_URL = await startDatabase(starting);
  const [port, ops] = [await freePort(), await freePort()];
  const group = new ProcessGroup({
    command: process.execPath,
    args: [fileURLToPath(new URL("../main.ts", import.meta.url))],
    out,
  });
  starting.own({ name: "Taskwire", stop: () => group.stopAll(), force: () => group.killAll() });
  const own = {
    DATABASE_URL,
    PORT: String(port),
    OPS_PORT: String(ops),
    NATS_URL: "",
    REDIS_URL: "",
    SERVICES: "all",
  };
  const child = group.start({ name: "taskwire", env: { ...ENVIRONMENT, ...own } });
  await new Promise<void>((resolve, reject) => {
    child.once("message", () => resolve());
    child.once("exit", () => reject(new Error("Taskwire ended before it served: its lines above say why")));
  });
  const BASE_URL = `http://127.0.0.1:${port}`;
  return {
    BASE_URL,
    SOCKET_URLS: BASE_URL,
    METRICS_URLS: `http://127.0.0.1:${ops}/metrics`,
    FORWARDED: "on",
  };
}

/** As many free ports in a row. @returns the first */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = await freePort();
    const row = await Promise.all(Array.from({ length: count }, (_, nth) => freePort(first + nth)));
    if (row.every((port, nth) => port === first + nth)) return first;
  }
}

async function startMany(starting: Starting): Promise<Target> {
  const DATABASE_URL = await startDatabase(starting);
  const [nats, redis] = await Promise.all([startNats(), startRedis()]);
  for (const [name, server] of Object.entries({ NATS: nats, Redis: redis }))
    starting.own({ name, stop: () => server.stop(), force: () => void server.kill() });
  const [gateway, first, second] = [await freePort(), await freePort(), await freePort()];
  const ports: Ports = { gateways: [gateway], notifiers: [first, second] };
  const count = Object.keys(clusterNodes(ports)).length;
  const ops = await freePorts(count);
  const urls = { DATABASE_URL, NATS_URL: nats.url, REDIS_URL: redis.url };
  await startCluster(
    urls,
    { ...ports, ops },
    {
      out,
      env: ENVIRONMENT,
      own: (group) =>
        starting.own({ name: "the nodes", stop: () => group.stopAll(), force: () => group.killAll() }),
    },
  );
  const nodes = Array.from({ length: count }, (_, nth) => `http://127.0.0.1:${ops + nth}/metrics`);
  return {
    BASE_URL: `http://127.0.0.1:${gateway}`,
    SOCKET_URLS: ports.notifiers.map((port) => `http://127.0.0.1:${port}`).join(","),
    METRICS_URLS: nodes.join(","),
    FORWARDED: "on",
  };
}

const program = new Program();

async function start(starting: Starting): Promise<void> {
  const { test, minutes, start: what, runner } = parse();
  const target: Partial<Target> =
    process.env.BASE_URL === undefined ? { BASE_URL: taskwireUrl(undefined, process.env) } : {};
  if (what === "one") Object.assign(target, await startOne(starting));
  else if (what === "cluster") Object.assign(target, await startMany(starting));
  if (starting.signal.aborted) return;

  const script = join(FOLDER, `${test}.js`);
  const [command, args] =
    runner === "k6"
      ? ["k6", ["run", script]]
      : [process.execPath, [join(FOLDER, "runner", "main.ts"), script]];
  starting.say(`${test}: by ${runner === "k6" ? "k6" : "the Node runner"}`);
  const child = spawn(command, args, {
    stdio: "inherit",
    env: { ...process.env, ...target, ...(minutes !== undefined && { MINUTES: minutes }) },
    // Ctrl-C in the terminal reaches this program alone, which ends the test before its system.
    detached: process.platform !== "win32",
  });
  const over = new Promise<number>((resolve) => {
    child.once("error", (error) => {
      starting.say(explain(error));
      resolve(1);
    });
    child.once("exit", (code) => resolve(code ?? 1));
  });
  starting.own({
    name: "the test",
    stop: async () => {
      child.kill("SIGINT");
      await over;
    },
    force: () => void child.kill("SIGKILL"),
  });
  // Not awaited: the program has started, and the test goes on until it ends or somebody stops it.
  void over.then((code) => program.stop(null, code));
}

await program.run(start, (error) =>
  error instanceof UsageError ? `loadtest: ${error.message}\n${USAGE}` : `loadtest: ${explain(error)}`,
);
