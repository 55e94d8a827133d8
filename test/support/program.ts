import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { until } from "../../local/until.ts";

/** A program of ours as a user starts it, and all that it says. */
export interface RunningProgram {
  pid: number;
  output(): string;
  /** Resolves once it has said it. @throws when it ends before, or does not within 60 s */
  said(what: string | RegExp): Promise<void>;
  signal(name: NodeJS.Signals): void;
  ended: Promise<{ code: number | null; stdout: string; stderr: string; ms: number }>;
}

/** Runs `node <file>` with nothing of our own environment but what programs need, and `env`. */
export function runProgram(file: string, env: Record<string, string>, args: string[] = []): RunningProgram {
  const startedAt = performance.now();
  const child = spawn(process.execPath, [file, ...args], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  let over = false;
  const ended = new Promise<Awaited<RunningProgram["ended"]>>((resolve) =>
    child.once("close", (code) => {
      over = true;
      resolve({ code, stdout, stderr, ms: performance.now() - startedAt });
    }),
  );
  const output = (): string => stdout + stderr;
  return {
    pid: child.pid as number,
    output,
    async said(what) {
      const found = (): boolean => (typeof what === "string" ? output().includes(what) : what.test(output()));
      if (!(await until(() => found() || over, 60_000)) || !found())
        throw new Error(`it did not say ${what}, but:\n${output()}`);
    },
    signal: (name) => void child.kill(name),
    ended,
  };
}

/** The command lines of this machine's processes that contain `what`. */
export async function processesWith(what: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)("ps", ["-A", "-ww", "-o", "args"]);
  return stdout.split("\n").filter((line) => line.includes(what));
}
