/**
 * `npm run bench`: what a task costs. Measures list, get, create and patch of Taskwire in one process and as a cluster
 * over NATS and Redis, in turns with a bare fastify + pg server (bench/baseline.ts) that runs the same SQL on the same
 * database, and prints requests a second, latencies and the ratio to that server. About a minute, only 127.0.0.1.
 */
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import pLimit from "p-limit";
import pg from "pg";
import { startNats } from "../local/nats.ts";
import { freePort } from "../local/ports.ts";
import { startPostgres } from "../local/postgres.ts";
import { ProcessGroup } from "../local/process-group.ts";
import { startRedis } from "../local/redis.ts";
import { migrate } from "../migrations/migrate.ts";
import { type Cell, measure, type Operation, type Server } from "./measure.ts";

const CONNECTIONS = 16;
const ROUNDS = 5;
/** Milliseconds for each server and operation in a round, and once before. */
const MS = 500;
const WARM_UP = 500;

/** Tasks of the project that is listed, and of one page. */
const LISTED = 1000;
const PAGE = 20;
/** Projects that are written to, and the tasks in each of them that are changed. */
const WRITTEN = 16;
const CHANGED = 16;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const parts: Promise<{ stop(): Promise<unknown> }>[] = [];
let ending: Promise<never> | undefined;

/** Ends everything that was started, the last first, and this process. */
function end(code: number): Promise<never> {
  return (ending ??= (async () => {
    for (const part of parts.toReversed())
      await part.then((started) => started.stop()).catch((error: unknown) => say(String(error)));
    process.exit(code);
  })());
}

/** Starts something that is stopped at the end, also when that comes while it starts. */
function use<Part extends { stop(): Promise<unknown> }>(start: () => Promise<Part>): Promise<Part> {
  if (ending !== undefined) return ending;
  const part = start();
  parts.push(part);
  return part;
}

async function temporaryFolder() {
  const path = await mkdtemp(join(tmpdir(), "taskwire-bench-"));
  await chmod(path, 0o755);
  return { path, stop: () => rm(path, { recursive: true, force: true }) };
}

/** Processes that run `program`, each of which sends a message when it serves. */
function startAll(program: string, nodes: Record<string, Record<string, string>>) {
  return use(async () => {
    const group = new ProcessGroup({
      command: process.execPath,
      args: [new URL(program, import.meta.url).pathname],
      out: (name, line) => (/warn|error|fatal/i.test(line) ? say(`${name}: ${line}`) : undefined),
    });
    const serving = Object.entries(nodes).map(([name, env]) => {
      const child = group.start({ name, env });
      return new Promise<void>((resolve, reject) => {
        child.once("message", () => resolve());
        child.once("exit", () => reject(new Error(`${name} ended before it served`)));
      });
    });
    const stop = () => group.stopAll();
    return Promise.all(serving).then(
      () => ({ stop }),
      async (error: unknown) => {
        await stop();
        throw error;
      },
    );
  });
}

/** Somebody with projects and tasks, made through the API like everybody's. */
async function prepare({ port }: Server) {
  let token = "";
  async function request<Body>(method: string, path: string, body: object): Promise<Body> {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Body;
  }
  const some = pLimit(CONNECTIONS);
  const times = <Result>(count: number, make: (nth: number) => Promise<Result>): Promise<Result[]> =>
    Promise.all(Array.from({ length: count }, (_, nth) => some(() => make(nth))));
  const project = (name: string) => request<{ id: string }>("POST", "/projects", { name });
  const task = (projectId: string, nth: number) =>
    request<{ id: string }>("POST", `/projects/${projectId}/tasks`, {
      title: `Task ${nth}`,
      description: nth % 3 === 0 ? "Noted in the weekly meeting." : null,
      due_date: "2030-05-01T12:00:00.000Z",
    });

  const password = "bench bench bench";
  await request("POST", "/auth/register", { email: "bench@example.com", username: "bench", password });
  const login = await request<{ access_token: string }>("POST", "/auth/login", { login: "bench", password });
  token = login.access_token;
  const listed = await project("Listed");
  await times(LISTED, (nth) => task(listed.id, nth));
  const written = await times(WRITTEN, (nth) => project(`Written ${nth}`));
  const changed = await times(WRITTEN * CHANGED, (nth) => task(written[nth % WRITTEN]!.id, nth));

  const paths = changed.map(({ id }) => `/tasks/${id}`);
  const operations: Operation[] = [
    { name: "list", method: "GET", paths: [`/projects/${listed.id}/tasks?limit=${PAGE}`], items: PAGE },
    { name: "get", method: "GET", paths },
    {
      name: "create",
      method: "POST",
      paths: written.map(({ id }) => `/projects/${id}/tasks`),
      body: '{"title":"Created #"}',
    },
    { name: "patch", method: "PATCH", paths, body: '{"title":"Changed #"}' },
  ];
  return { token, operations };
}

function report(servers: Server[], operations: Operation[], cells: Cell[][]): void {
  const number = (value: number, digits = 0): string =>
    value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
  say(`\n${"".padEnd(8)}${servers.map(({ name }) => name.padStart(32)).join("")}`);
  say(
    `${"".padEnd(8)}${servers.map(() => `${"req/s".padStart(12)}${"p50".padStart(10)}${"p99 ms".padStart(10)}`).join("")}`,
  );
  for (const [row, { name }] of operations.entries()) {
    const figures = (cells[row] as Cell[]).map(
      ({ perSecond, p50, p99 }) =>
        number(perSecond).padStart(12) + number(p50, 1).padStart(10) + number(p99, 1).padStart(10),
    );
    say(`${name.padEnd(8)}${figures.join("")}`);
  }
  say(`\nrequests a second, as a multiple of ${servers.at(-1)?.name}:`);
  for (const [row, { name }] of operations.entries()) {
    const ratios = (cells[row] as Cell[]).slice(0, -1).map(({ ratio }) => number(ratio, 2).padStart(32));
    say(`${name.padEnd(8)}${ratios.join("")}`);
  }
}

async function main(): Promise<void> {
  say("starting Postgres, NATS, Redis, the baseline, Taskwire and its cluster");
  const folder = await use(temporaryFolder);
  const postgres = await use(() => startPostgres({ dir: join(folder.path, "postgres"), durable: false }));
  await migrate(postgres.url);
  const [nats, redis] = await Promise.all([use(() => startNats()), use(() => startRedis())]);
  const servers: [Server, Server, Server] = [
    { name: "Taskwire, one process", port: await freePort() },
    { name: "Taskwire, cluster", port: await freePort() },
    { name: "fastify + pg", port: await freePort() },
  ];
  const [single, cluster, baseline] = servers;
  const env = {
    DATABASE_URL: postgres.url,
    JWT_SECRET: randomBytes(32).toString("base64url"),
    RATE_LIMIT: "off",
    LOG_LEVEL: "warn",
    LOG_JSON: "true",
    SERVICES: "all",
    NATS_URL: "",
    REDIS_URL: "",
    OPS_PORT: "0",
  };
  const shared = {
    ...env,
    NATS_URL: nats.url,
    REDIS_URL: redis.url,
    NAMESPACE: `bench-${randomBytes(4).toString("hex")}`,
  };
  const node = (NODE_ID: string, SERVICES: string, more = {}) => ({ ...shared, NODE_ID, SERVICES, ...more });
  await startAll("./baseline.ts", { baseline: { ...env, PORT: String(baseline.port) } });
  await startAll("../main.ts", { taskwire: { ...env, PORT: String(single.port) } });
  await startAll("../main.ts", {
    gateway: node("gateway", "api-gateway", { PORT: String(cluster.port) }),
    auth: node("auth", "auth"),
    users: node("users", "users,mailer,jobs"),
    projects: node("projects", "projects"),
    tasks: node("tasks", "tasks"),
    notifier: node("notifier", "notifier", { NOTIFIER_PORT: String(await freePort()) }),
  });

  say(`making a project with ${LISTED} tasks`);
  const { token, operations } = await prepare(single);
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  await client.query("VACUUM ANALYZE");
  await client.end();

  say(
    `measuring: ${CONNECTIONS} connections, ${ROUNDS} rounds of ${MS / 1000} s for each server and operation, ` +
      `node ${process.version}, ${availableParallelism()} CPUs, Postgres without fsync`,
  );
  const cells = await measure(servers, operations, {
    token,
    connections: CONNECTIONS,
    warmUp: WARM_UP,
    ms: MS,
    rounds: ROUNDS,
    onProgress: (line) => say(`  ${line}`),
  });
  report(servers, operations, cells);
}

for (const signal of ["SIGINT", "SIGTERM"] as const)
  process.on(signal, () => {
    say("ending what was started");
    void end(130);
  });
try {
  await main();
  await end(0);
} catch (error) {
  if (ending === undefined) process.stderr.write(`bench: ${(error as Error).message}\n`);
  await end(1);
}
