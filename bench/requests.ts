/**
 * `npm run bench`: what a request costs with everything on that production has on. Measures Taskwire as a cluster over
 * NATS and Redis and in one process, beside what it could cost at least: a skeleton of moleculer-web, NATS and pg, bare
 * fastify and pg with the same SQL, and FastAPI with SQLAlchemy where Python is at hand. Prints requests a second,
 * latencies and the CPU time of each process; those hold on a machine that does other things too. Under six minutes,
 * only 127.0.0.1. `npm run bench -- --help` has the options, docs/performance.md what came out.
 */
import { execFileSync } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { availableParallelism, loadavg } from "node:os";
import process from "node:process";
import { explain } from "../core/explain.ts";
import { Program, type Starting } from "../local/program.ts";
import { analyse, complaintsIn, prepareGround } from "./requests/ground.ts";
import { Loader, measure } from "./requests/measure.ts";
import { type OperationName, type Options, parseOptions, USAGE, UsageError } from "./requests/options.ts";
import { prepare } from "./requests/operations.ts";
import { profile } from "./requests/profile.ts";
import { BASE, comparison, ratios, type Run, table } from "./requests/report.ts";
import { startServers, startSingle } from "./requests/servers.ts";

/** Seconds for each operation and server before the rounds. */
const WARM_UP_S = 0.5;
/** Tasks that a server may read in a second, each once. */
const READS_A_SECOND = 2500;

function commit(): string {
  try {
    return execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

async function bench(options: Options, { own, say, signal }: Starting): Promise<void> {
  const before =
    options.compare === null ? null : (JSON.parse(await readFile(options.compare, "utf8")) as Run);
  const isProfiling = options.profile.length > 0;
  say("starting Postgres, NATS and Redis");
  const ground = await prepareGround(own);
  const start = { ground, own, say, inspected: isProfiling };

  say("making users, projects and tasks");
  const maker = await startSingle(start, ground.prepared, "maker");
  const seconds = WARM_UP_S + options.rounds * options.seconds;
  const readOnce = options.operations.includes("get-uncached") ? Math.ceil(seconds * READS_A_SECOND) : 0;
  const { tokens, operations: known } = await prepare(maker.port, readOnce);
  await maker.stop();
  await analyse(ground.prepared);

  // A profile is of Taskwire, unless others are named.
  const names = options.servers ?? (isProfiling ? ["cluster" as const] : null);
  const servers = await startServers(start, names, options.without);
  const operations = options.operations.map((name: OperationName) => known[name]);
  say(
    `measuring ${commit()}: ${options.connections} connections, ${options.rounds} rounds of ${options.seconds} s for each server and operation, node ${process.version}, ${availableParallelism()} CPUs, Postgres without fsync`,
  );
  const loader = new Loader();
  own({ name: "the load", stop: () => loader.close() });
  const began = performance.now();
  const load = loadavg()[0] as number;
  const plan = {
    tokens,
    connections: options.connections,
    warmUp: WARM_UP_S * 1000,
    ms: options.seconds * 1000,
    rounds: options.rounds,
    onProgress: (line: string) =>
      say(`  ${((performance.now() - began) / 1000).toFixed(0).padStart(3)} s  ${line}`),
    signal,
  };
  const base = servers.find(({ name }) => name === BASE);
  const cells = await measure(loader, servers, operations, plan, base);
  const run: Run = {
    commit: commit(),
    at: new Date().toISOString(),
    node: process.version,
    cpus: availableParallelism(),
    load: [load, loadavg()[0] as number],
    seconds: options.seconds,
    rounds: options.rounds,
    connections: options.connections,
    operations: options.operations,
    servers: servers.map(({ name }) => name),
    cells,
  };
  say(
    `\n${[table(run), ratios(run)]
      .map((lines) => lines.join("\n"))
      .join("\n\n")
      .trimEnd()}`,
  );
  say(`\nload average ${run.load.map((value) => value.toFixed(1)).join(" → ")}`);
  const complaints = await complaintsIn(ground.logs);
  if (complaints.length > 0)
    say(`\nwarnings in the logs:\n${complaints.map((line) => `  ${line}`).join("\n")}`);
  if (options.json !== null) await writeFile(options.json, `${JSON.stringify(run, null, 1)}\n`);
  if (before !== null) say(`\n${comparison(before, run).join("\n")}`);
  for (const name of options.profile)
    for (const [column, server] of servers.entries()) {
      const cell = cells[options.operations.indexOf(name)]?.[column];
      if (cell !== undefined) say(`\n${(await profile(loader, server, known[name], plan, cell)).join("\n")}`);
    }
}

const program = new Program();
await program.run(
  async (starting) => {
    const options = parseOptions(process.argv.slice(2));
    if (options === "help") starting.say(USAGE);
    else await bench(options, starting);
  },
  (error) => (error instanceof UsageError ? `${error.message}\n\n${USAGE}` : `bench: ${explain(error)}`),
);
await program.stop(null, 0);
