/** `npm run chaos -- [--seed N] [--minutes M | --faults N] [--only FAULT,FAULT] [--scale S] [--clients sdk|dragging] | --rolling | --judge FILE`: docs/chaos.md. */
import { chmod, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { explain } from "../../core/explain.ts";
import { judge } from "./checker.ts";
import { FAULTS } from "./faults.ts";
import { readRecording, type Recording, writeRecording } from "./recording.ts";
import { report } from "./report.ts";
import { run } from "./run.ts";

const USAGE =
  "Usage: npm run chaos -- [--seed N] [--minutes M | --faults N] [--only FAULT,FAULT] [--scale S] [--clients sdk|dragging] | --rolling [--scale S] | --judge FILE";
/** Faults after which the log lacks events that happened. */
const REWRITES_LOG = ["postgres-restored", "log-forgotten"];
const CLIENTS = ["none", "sdk", "dragging"] as const;
const [DEFAULT_MINUTES, MAX_MINUTES] = [1, 24 * 60];
const RECORDINGS = ".data/chaos";
/** Milliseconds that each part has to end. */
const STOP_MS = 25_000;
/** Milliseconds in which a run gives up once its parts are stopped. */
const GIVE_UP_MS = 5000;

const say = (line: string): void => void process.stdout.write(`${line}\n`);
const progress = (line: string): void =>
  void process.stdout.write(
    process.stdout.isTTY ? `\r\x1b[2K${line.slice(0, process.stdout.columns - 1)}` : "",
  );

function options() {
  const { values } = parseArgs({
    options: {
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      minutes: { type: "string" },
      faults: { type: "string" },
      only: { type: "string" },
      scale: { type: "string", default: "1" },
      clients: { type: "string" },
      rolling: { type: "boolean", default: false },
      judge: { type: "string" },
    },
  });
  const clients = CLIENTS.find((kind) => kind === (values.clients ?? "none"));
  if (clients === undefined) throw new Error(USAGE);
  // Drags are judged by the log as it is in the end.
  const names = Object.keys(FAULTS).filter((name) => clients !== "dragging" || !REWRITES_LOG.includes(name));
  const asked = values.only?.split(",").filter((name) => name !== "none") ?? names;
  const unknown = asked.find((name) => !names.includes(name));
  if (unknown !== undefined) throw new Error(`"${unknown}" is none of ${names.join(", ")}`);
  // In one order, so that the seed chooses the same whatever the order that they were asked for in.
  const only = names.filter((name) => asked.includes(name));
  const [seed, scale] = [Number(values.seed), Number(values.scale)];
  const length =
    values.faults === undefined
      ? { minutes: Number(values.minutes ?? DEFAULT_MINUTES) }
      : { faults: Number(values.faults) };
  const isLength =
    length.faults === undefined
      ? length.minutes > 0 && length.minutes <= MAX_MINUTES
      : Number.isInteger(length.faults) &&
        length.faults > 0 &&
        only.length > 0 &&
        values.minutes === undefined;
  const isRolling = values.rolling;
  const isAlone = [values.minutes, values.faults, values.only, values.clients].every(
    (value) => value === undefined,
  );
  if (isRolling && !isAlone) throw new Error(USAGE);
  if (!Number.isInteger(seed) || !isLength || !(scale > 0 && scale <= 10)) throw new Error(USAGE);
  return { seed, length, isRolling, scale, only, clients, file: values.judge };
}

/** Ends what was started, the last first. */
const stops: { part: string; stop: () => unknown }[] = [];
async function stopParts(): Promise<void> {
  for (let next = stops.pop(); next !== undefined; next = stops.pop()) {
    const { part, stop } = next;
    const waiting = new AbortController();
    const tooLate = delay(STOP_MS, undefined, { signal: waiting.signal }).then(
      () => say(`${part}: does not stop, going on`),
      () => {},
    );
    const stopped = Promise.resolve(stop()).catch((error: unknown) =>
      say(`${part}: did not stop cleanly: ${explain(error)}`),
    );
    await Promise.race([stopped, tooLate]);
    waiting.abort();
  }
}

let stopping = Promise.resolve();
/** A start that goes on for a moment after Ctrl-C may add parts: they are stopped by the next call. */
const stopAll = (): Promise<void> => (stopping = stopping.then(stopParts));

async function record(aborting: AbortSignal): Promise<Recording> {
  const { file: _file, ...what } = options();
  const folder = await mkdtemp(join(tmpdir(), "taskwire-chaos-"));
  stops.push({ part: "the folder", stop: () => rm(folder, { recursive: true, force: true }) });
  // Postgres' own user must reach the folder.
  await chmod(folder, 0o755);
  const own = (part: string, stop: () => unknown): void => void stops.push({ part, stop });
  const recording = await run({ ...what, folder }, own, say, progress, aborting);
  await mkdir(RECORDINGS, { recursive: true });
  const file = join(RECORDINGS, `seed-${what.seed}-${new Date().toISOString().replaceAll(/[:.]/g, "-")}.gz`);
  await writeRecording(file, recording);
  say(`\nThe recording is in ${file}`);
  return recording;
}

async function main(): Promise<number> {
  const aborting = new AbortController();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const)
    process.on(name, () => {
      if (aborting.signal.aborted) return;
      say("\nstopping");
      aborting.abort(new Error("stopped"));
      void stopAll()
        .then(() => delay(GIVE_UP_MS))
        .then(stopAll)
        .then(() => process.exit(1));
    });
  try {
    const { file } = options();
    const recording = file === undefined ? await record(aborting.signal) : await readRecording(file);
    const verdict = judge(recording);
    say(report(recording, verdict));
    await stopAll();
    return verdict.findings.isSound ? 0 : 1;
  } catch (error) {
    process.stderr.write(`${explain(error)}\n`);
    await stopAll();
    return 1;
  }
}

process.exit(await main());
