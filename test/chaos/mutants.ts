/**
 * `npm run chaos:mutants -- [NAME …]`: breaks the product itself, in a copy, once for each mutant. A run of chaos must find
 * each of them. It says which were found, by what, and exits with 1 when one was not.
 */
import { execFile, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { FINDINGS } from "./findings.ts";
import { table } from "./report.ts";

interface Mutant {
  file: string;
  from: string;
  to: string;
  /** Faults under which it shows. */
  only: string;
}

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const [MINUTES, SCALE, SEED] = ["0.5", "0.3", "11"];

const MUTANTS: Record<string, Mutant> = {
  "no beat": {
    file: "services/notifier/tails.ts",
    from: "const entries = [...this.#entries];\n    const heads",
    to: "const entries = [...this.#entries].slice(0, 0);\n    const heads",
    only: "nats-cut,redis-cut",
  },
  "no place for a hint": {
    file: "services/notifier/stream-tail.ts",
    from: "if (event.seq === seq + 1 && previous_id === id) {",
    to: "if (event.seq > 0 || previous_id === id) {",
    only: "redis-cut,redis-unsubscribed",
  },
  "a removed member keeps the stream": {
    file: "services/notifier/streams.ts",
    from: "void socket.leave(name);\n    socket.emit(",
    to: "socket.emit(",
    only: "none",
  },
  "a removed member is not told": {
    file: "services/notifier/streams.ts",
    from: 'socket.emit("stream_closed", {',
    to: 'socket.emit("stream_shut", {',
    only: "none",
  },
  "a cursor is off by one": {
    file: "services/notifier/join.ts",
    from: "let position = cursor;",
    to: "let position = cursor && { seq: Math.max(0, cursor.seq - 1), id: null };",
    only: "mass-reconnect",
  },
  "a replay forgets its last event": {
    file: "services/notifier/join.ts",
    from: "for (const event of events) socket.emit",
    to: "for (const event of events.slice(0, -1)) socket.emit",
    only: "mass-reconnect",
  },
  "sessions end nowhere": {
    file: "services/notifier/revocations.ts",
    from: "if (sessions.has(socket.data.actor.session))",
    to: 'if (sessions.has("nobody"))',
    only: "none",
  },
  "keys are not kept": {
    file: "mixins/idempotency.ts",
    from: "WHERE k.key IS NOT NULL AND",
    to: "WHERE k.key IS NULL AND",
    only: "gateway-killed,tasks-killed,nats-cut,nats-one-way",
  },
  "reads are not anchored": {
    file: "mixins/event-log.queries.ts",
    from: "return id === null || first.id === id ? rest : null;",
    to: "return rest;",
    only: "postgres-restored",
  },
};

const findingsIn = (output: string): string[] =>
  output.split("\n").flatMap((line) => {
    const [, name = "", count = "0"] = /^(\w+) +(-?\d+) {2}/.exec(line) ?? [];
    return name in FINDINGS && count !== "0" ? [`${name} ${count}`] : [];
  });

async function copyTree(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "taskwire-mutant-"));
  const { stdout } = await promisify(execFile)("git", ["ls-files"], { cwd: ROOT });
  for (const path of stdout.trim().split("\n")) await cp(join(ROOT, path), join(folder, path));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  return folder;
}

async function runMutant({ file, from, to, only }: Mutant): Promise<string[]> {
  const folder = await copyTree();
  try {
    const path = join(folder, file);
    const text = await readFile(path, "utf8");
    if (!text.includes(from)) throw new Error(`${file} has no such text any more`);
    await writeFile(path, text.replace(from, to));
    const args = ["--seed", SEED, "--minutes", MINUTES, "--scale", SCALE, "--only", only];
    const child = spawn(process.execPath, ["test/chaos/main.ts", ...args], {
      cwd: folder,
      stdio: ["ignore", "pipe", "inherit"],
    });
    let output = "";
    child.stdout.on("data", (data: Buffer) => (output += data.toString()));
    await new Promise((ended) => child.once("close", ended));
    return findingsIn(output);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(MUTANTS);
const rows: string[][] = [["mutant", "found by"]];
for (const name of names) {
  const mutant = MUTANTS[name];
  if (mutant === undefined) throw new Error(`"${name}" is none of ${Object.keys(MUTANTS).join(", ")}`);
  const findings = await runMutant(mutant);
  process.stdout.write(`${name}: ${findings.join(", ") || "not found"}\n`);
  rows.push([name, findings.join(", ") || "NOT FOUND"]);
}
process.stdout.write(`\n${table(rows)}\n`);
process.exitCode = rows.some(([, found]) => found === "NOT FOUND") ? 1 : 0;
