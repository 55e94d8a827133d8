import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { appendFileSync, closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const STOP_MS = 15_000;
const ANSI_COLOURS = [36, 33, 32, 35, 34, 96, 93, 92, 95, 94];

export interface NodeSpec {
  name: string;
  /** Added to this process's environment. */
  env: Record<string, string>;
}

interface Options {
  /** The program of every node, for example `process.execPath` and `["main.ts"]`. */
  command: string;
  args: string[];
  /**
   * The destination of the nodes' lines: a stream, with the node's name before each line, a function, or a folder, where
   * each node writes `<name>.log` by itself.
   */
  out: NodeJS.WritableStream | ((name: string, line: string) => void) | { folder: string };
  /** Called when a node is gone and its last line was written. */
  onExit?: (name: string, code: number | null, signal: NodeJS.Signals | null) => void;
}

/** The pause before a restart: doubled at each end of a node, and reset once the node has run for the longest pause. */
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

/** Where Node keeps what it compiled, for the next process: half of a node's start is reading its modules. */
const COMPILE_CACHE = fileURLToPath(new URL("../node_modules/.cache/compile", import.meta.url));

/**
 * Several node processes of the program, with one log.
 *
 * Each node runs in a process group of its own, so that Ctrl-C in a terminal reaches the parent alone: the parent passes it
 * on by `stopAll`, and ends the brokers and Postgres after the nodes.
 *
 * Each node has an IPC channel. When the parent dies, even by kill -9, the node gets "disconnect" and shuts down:
 * `process.once("disconnect", shutdown)`. That listener keeps the node's event loop alive, so the shutdown ends with
 * `process.exit()` or `process.disconnect()`. The parent's end of the node's stdout closes at the same time: a node that
 * logs while it drains needs `process.stdout.on("error", () => {})`, or EPIPE ends it halfway.
 */
export class ProcessGroup {
  readonly #options: Options;
  readonly #nodes = new Map<string, ChildProcess>();
  readonly #colours = new Map<string, number>();
  readonly #pauses = new Map<string, number>();
  readonly #revivals = new Set<NodeJS.Timeout>();
  #tell: ((line: string) => void) | undefined;

  constructor(options: Options) {
    this.#options = options;
  }

  /** Starts a node, or starts it again after it ended. Throws while it runs. */
  start({ name, env }: NodeSpec): ChildProcess {
    const startedAt = performance.now();
    if (this.#nodes.has(name)) throw new Error(`the node ${name} is running already`);
    if (!this.#colours.has(name))
      this.#colours.set(name, ANSI_COLOURS[this.#colours.size % ANSI_COLOURS.length]!);
    const { command, args, out } = this.#options;
    const file = "folder" in out ? openSync(logFile(out.folder, name), "a") : undefined;
    const child = spawn(command, args, {
      env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, ...env },
      detached: process.platform !== "win32", // on Windows it would open a window
      stdio: ["ignore", file ?? "pipe", file ?? "pipe", "ipc"],
    });
    this.#nodes.set(name, child);
    if (file !== undefined) closeSync(file);
    for (const stream of [child.stdout, child.stderr])
      if (stream !== null) createInterface({ input: stream }).on("line", (line) => this.#write(name, line));
    child.once("error", (error) => this.#write(name, error.message));
    child.once("close", (code, signal) => {
      this.#nodes.delete(name);
      this.#options.onExit?.(name, code, signal);
      if (performance.now() - startedAt > LONGEST_PAUSE_MS) this.#pauses.delete(name);
      this.#revive({ name, env }, signal ?? `exit code ${code}`);
    });
    return child;
  }

  /** The node of that name while it runs. */
  get(name: string): ChildProcess | undefined {
    return this.#nodes.get(name);
  }

  /** The nodes that run. */
  list(): { name: string; pid: number | undefined }[] {
    return [...this.#nodes].map(([name, { pid }]) => ({ name, pid }));
  }

  /** Sends a signal; false when no such node runs. */
  kill(name: string, signal: NodeJS.Signals): boolean {
    return this.#nodes.get(name)?.kill(signal) ?? false;
  }

  /** Sends SIGTERM to all nodes, and after 15 s SIGKILL to those left and their children. Resolves when all are gone. */
  async stopAll(): Promise<void> {
    this.#letEnd();
    const nodes = [...this.#nodes.values()];
    const gone = nodes.map((node) => new Promise((done) => node.once("close", done)));
    for (const node of nodes) {
      node.kill("SIGTERM");
      node.kill("SIGCONT"); // a test may have paused it
    }
    const patience = setTimeout(() => this.killAll(), STOP_MS);
    await Promise.all(gone);
    clearTimeout(patience);
  }

  /** Sends SIGKILL to all nodes that are left, for a caller that doesn't wait for `stopAll`. */
  killAll(): void {
    this.#letEnd();
    [...this.#nodes.values()].forEach(killGroup);
  }

  /** Restarts nodes that end from now on, after a pause that grows while a node keeps ending. */
  keepAlive(tell: (line: string) => void): void {
    this.#tell = tell;
  }

  #letEnd(): void {
    this.#tell = undefined;
    this.#revivals.forEach(clearTimeout);
  }

  #revive(node: NodeSpec, how: string): void {
    if (this.#tell === undefined) return;
    const pause = this.#pauses.get(node.name) ?? FIRST_PAUSE_MS;
    this.#pauses.set(node.name, Math.min(pause * 2, LONGEST_PAUSE_MS));
    this.#tell(`${node.name} ended (${how}): it starts again in ${pause / 1000} s`);
    const timer = setTimeout(() => {
      this.#revivals.delete(timer);
      if (this.#nodes.has(node.name)) return; // the caller started it meanwhile
      this.#tell?.(`${node.name} starts again, as process ${this.start(node).pid}`);
    }, pause);
    this.#revivals.add(timer);
  }

  #write(name: string, line: string): void {
    const { out } = this.#options;
    if (typeof out === "function") return out(name, line);
    if ("folder" in out) return appendFileSync(logFile(out.folder, name), `${line}\n`);
    const width = Math.max(...[...this.#colours.keys()].map((known) => known.length));
    const prefix = `${name.padEnd(width)} |`;
    const colourful = "isTTY" in out && out.isTTY && !process.env["NO_COLOR"];
    out.write(`${colourful ? `\x1b[${this.#colours.get(name)}m${prefix}\x1b[0m` : prefix} ${line}\n`);
  }
}

const logFile = (folder: string, name: string): string => join(folder, `${name}.log`);

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === "win32" ? pid : -pid, "SIGKILL");
  } catch {
    // gone already
  }
}
