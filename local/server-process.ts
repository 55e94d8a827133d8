import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { cleanEnv } from "./clean-env.ts";
import { findServer } from "./find-server.ts";
import type { ServerName } from "./find-server.ts";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";

const START_MS = 10_000;
const STOP_MS = 5_000;

export interface ServerOptions {
  /** By default a free one. */
  port?: number;
  onProgress?: (line: string) => void;
}

/** A broker that lives as long as its parent, and that an outage test can stop, kill, pause and restart. */
export interface LocalServer {
  readonly url: string;
  readonly port: number;
  /** Changes with each `restart`. */
  readonly pid: number;
  /** Sends SIGTERM, and after 5 s SIGKILL. Resolves when the server is gone; may be called again. */
  stop(): Promise<void>;
  /** Sends SIGKILL: connections break without a farewell. Resolves when the server is gone. */
  kill(): Promise<void>;
  /** Sends SIGSTOP: connections stay open, nothing answers. */
  pause(): void;
  /** Sends SIGCONT: ends a `pause`. */
  resume(): void;
  /** Stops the server if it runs, and starts it on the same port. Throws when it does not answer within 10 s. */
  restart(): Promise<void>;
}

interface ServerSpec {
  name: ServerName;
  /** The part of its URL before host and port: `nats://user:password@`. */
  access: string;
  /** Its whole configuration, credentials included: every user of this machine could read them in the arguments. */
  configuration: (port: number) => string;
  /** The arguments that make it read the configuration from `file`. */
  args: (file: string) => string[];
  /** Sent on a new connection, and the beginning of a ready server's reply. */
  say: string;
  reply: string;
}

/** Starts a server on 127.0.0.1, and resolves once it answers. Throws with its last lines when it does not within 10 s. */
export async function startServer(spec: ServerSpec, options: ServerOptions = {}): Promise<LocalServer> {
  const binary = await findServer(spec.name, options.onProgress ?? (() => {}));
  for (let attempt = 1; ; attempt++) {
    const server = new Server(spec, binary, options.port ?? (await freePort()));
    try {
      await server.restart();
      options.onProgress?.(`${spec.name}: started on port ${server.port}`);
      return server;
    } catch (error) {
      await server.kill();
      // Another process may have taken the free port meanwhile; a port that the caller named stays.
      if (options.port !== undefined || attempt === 3) throw error;
    }
  }
}

class Server implements LocalServer {
  readonly port: number;
  readonly url: string;
  readonly #spec: ServerSpec;
  readonly #binary: string;
  #process: ChildProcess | undefined;
  #gone: Promise<void> = Promise.resolve();

  constructor(spec: ServerSpec, binary: string, port: number) {
    this.#spec = spec;
    this.#binary = binary;
    this.port = port;
    this.url = `${spec.access}127.0.0.1:${port}`;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  async restart(): Promise<void> {
    await this.stop();
    // Only this user may enter the folder. The server reads its configuration once, at its start.
    const folder = await mkdtemp(join(tmpdir(), "taskwire-server-"));
    try {
      const file = join(folder, "server.conf");
      await writeFile(file, this.#spec.configuration(this.port), { mode: 0o600 });
      await this.#start(file);
    } finally {
      // A Sentinel writes its configuration anew in there, perhaps just now.
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  async #start(file: string): Promise<void> {
    const { name, args, say, reply } = this.#spec;
    const child = spawn(this.#binary, args(file), {
      cwd: tmpdir(),
      env: cleanEnv(),
      detached: true, // Ctrl-C reaches the services alone, which need their broker while they drain
      stdio: ["ignore", "pipe", "pipe"],
    });
    const lines: string[] = [];
    child.once("error", (error) => lines.push(error.message));
    for (const stream of [child.stdout, child.stderr])
      createInterface({ input: stream }).on("line", (line) => lines.push(line) > 10 && lines.shift());
    this.#process = child;
    this.#gone = new Promise((gone) => child.once("close", () => gone()));
    endWithParent(child);

    const ready = await until(
      async () => !isRunning(child) || (await replies(this.port, say, reply)),
      START_MS,
    );
    if (ready && isRunning(child)) return;
    await this.kill();
    throw new Error(`${name} did not answer on port ${this.port}:\n${lines.join("\n")}`);
  }

  async stop(): Promise<void> {
    this.#process?.kill("SIGTERM");
    this.resume(); // a paused process gets no other signal
    const patience = setTimeout(() => this.#process?.kill("SIGKILL"), STOP_MS);
    await this.#gone;
    clearTimeout(patience);
  }

  async kill(): Promise<void> {
    this.#process?.kill("SIGKILL");
    await this.#gone;
  }

  pause(): void {
    this.#process?.kill("SIGSTOP");
  }

  resume(): void {
    this.#process?.kill("SIGCONT");
  }
}

function isRunning(child: ChildProcess): boolean {
  return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
}

/**
 * Ends `child` when this process ends, however it ends: a guard waits on a pipe that the system closes with this process.
 * (Exit handlers run neither on kill -9 nor on an unhandled SIGTERM.) Windows has no such guard.
 */
function endWithParent(child: ChildProcess): void {
  if (child.pid === undefined || process.platform === "win32") return;
  const guard = spawn("/bin/sh", ["-c", 'read _; kill -9 "$0"', String(child.pid)], {
    env: cleanEnv(),
    detached: true,
    stdio: ["pipe", "ignore", "ignore"],
  });
  guard.on("error", () => {});
  guard.unref();
  (guard.stdin as Socket).unref();
  child.once("exit", () => guard.kill("SIGKILL"));
}

/** How long a server that is ready takes to reply. */
const REPLY_MS = 250;

/** Whether the server on `port` answers `say` with text that begins with `reply`. */
function replies(port: number, say: string, reply: string): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect(port, "127.0.0.1");
    const done = (answer: boolean): void => {
      socket.destroy();
      settle(answer);
    };
    socket.setTimeout(REPLY_MS, () => done(false));
    socket.once("error", () => done(false));
    socket.once("end", () => done(false));
    socket.once("data", (data) => done(data.toString().startsWith(reply)));
    socket.write(say);
  });
}
