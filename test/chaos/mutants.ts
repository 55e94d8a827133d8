/**
 * `npm run chaos:mutants -- [NAME …]`: makes each mistake of mutant-list.ts in a copy of the product. A run of chaos, or
 * many schedules, must find it. It says what found each one, and exits with 1 when one was not found.
 */
import { execFile, spawn } from "node:child_process";
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { FINDINGS } from "./findings.ts";
import { type Edit, MUTANTS } from "./mutant-list.ts";
import { table } from "./report.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
/** A run of chaos: half a minute of faults with a few writers and subscribers. */
const CHAOS = { seed: "11", minutes: "0.5", scale: "0.3" };
/** Schedules are played from the first seed on until one goes wrong. */
const SCHEDULE_SEEDS = ["1", "2", "3", "4"];
const SCHEDULES_OF_SEED = "40000";

interface Found {
  by: string;
  seed: string;
  after: string;
}

async function copyTree(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "taskwire-mutant-"));
  const { stdout } = await promisify(execFile)("git", ["ls-files"], { cwd: ROOT });
  for (const path of stdout.trim().split("\n")) await cp(join(ROOT, path), join(folder, path));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  return folder;
}

/** Runs a program of the copy. @returns what it wrote */
async function outputOf(folder: string, args: string[]): Promise<string> {
  const child = spawn(process.execPath, args, { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString()));
  await new Promise((ended) => child.once("close", ended));
  return output;
}

async function findByChaos(folder: string, faults: string): Promise<Found | null> {
  const { seed, minutes, scale } = CHAOS;
  const started = performance.now();
  const args = ["--seed", seed, "--minutes", minutes, "--scale", scale, "--only", faults];
  const output = await outputOf(folder, ["test/chaos/main.ts", ...args]);
  const findings = output.split("\n").flatMap((line) => {
    const [, name = "", count = "0"] = /^(\w+) +(-?\d+) {2}/.exec(line) ?? [];
    return name in FINDINGS && count !== "0" ? [`${name} ${count}`] : [];
  });
  const seconds = Math.round((performance.now() - started) / 1000);
  return findings.length === 0 ? null : { by: findings.join(", "), seed, after: `${seconds} s` };
}

async function findBySchedules(folder: string): Promise<Found | null> {
  for (const seed of SCHEDULE_SEEDS) {
    const args = ["--seed", seed, "--runs", SCHEDULES_OF_SEED, "--first"];
    const output = await outputOf(folder, ["test/schedules/main.ts", ...args]);
    const [, nth, seconds] = /^wrong in schedule (\d+) of seed \d+ \((.+) s\)/.exec(output) ?? [];
    const fault = /^(?:Error: )?socket-\d+ of \S+: (.+)$/m.exec(output)?.[1];
    if (nth === undefined) continue;
    return { by: fault ?? "an error", seed, after: `${nth} schedules, ${seconds} s` };
  }
  return null;
}

/** Makes changes in a copy. @returns how to undo them */
async function mutate(folder: string, edits: Edit[]): Promise<() => Promise<void>> {
  const originals = new Map<string, string>();
  for (const { file, from, to } of edits) {
    const path = join(folder, file);
    const text = await readFile(path, "utf8");
    if (text.split(from).length !== 2) throw new Error(`${file} must have this text once: ${from}`);
    if (!originals.has(path)) originals.set(path, text);
    await writeFile(
      path,
      text.replace(from, () => to),
    );
  }
  return async () => {
    for (const [path, text] of originals) await writeFile(path, text);
  };
}

const names = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(MUTANTS);
const unknown = names.find((name) => !(name in MUTANTS));
if (unknown !== undefined) throw new Error(`"${unknown}" is none of ${Object.keys(MUTANTS).join(", ")}`);
const rows: string[][] = [["mutant", "seed", "after", "found by"]];
const folder = await copyTree();
try {
  for (const name of names) {
    const { edits, foundBy } = MUTANTS[name] as (typeof MUTANTS)[string];
    const undo = await mutate(folder, edits);
    const found =
      foundBy === "schedules" ? await findBySchedules(folder) : await findByChaos(folder, foundBy.faults);
    await undo();
    const { by, seed, after } = found ?? { by: "NOT FOUND", seed: "", after: "" };
    if (found === null) process.exitCode = 1;
    rows.push([name, seed, after, by]);
    process.stdout.write(`${name}: ${by}\n`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
process.stdout.write(`\n${table(rows)}\n`);
