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
  /** Default: a free one. */
  port?: number;
  onProgress?: (line: string) => void;
}

/** A broker that lives as long as its parent, and can be made to fail in every way that an outage test wants. */
export interface LocalServer {
  readonly url: string;
  readonly port: number;
  /** Another one after each `restart`. */
  readonly pid: number;
  /** SIGTERM, after 5 s SIGKILL. Resolves when it is gone; may be called again. */
  stop(): Promise<void>;
  /** SIGKILL: connections break without a word. Resolves when it is gone. */
  kill(): Promise<void>;
  /** SIGSTOP: connections stay open, nothing answers. */
  pause(): void;
  /** SIGCONT: the end of `pause`. */
  resume(): void;
  /** Stops it if it runs, and starts it again on the same port. Throws when it does not answer within 10 s. */
  restart(): Promise<void>;
}

interface ServerSpec {
  name: ServerName;
  /** `nats://user:password@`: what stands before host and port in its URL. */
  access: string;
  /** Its whole configuration, credentials included: arguments could be read by every user of this machine. */
  configuration: (port: number) => string;
  /** The arguments with which it reads that from `file`. */
  args: (file: string) => string[];
  /** What is said on a new connection, and how the reply of a server that is ready begins. */
  say: string;
  reply: string;
}

/** Starts a server on 127.0.0.1 and resolves once it answers. Throws with its last lines when it does not in 10 s. */
export async function startServer(spec: ServerSpec, options: ServerOptions = {}): Promise<LocalServer> {
  const binary = await findServer(spec.name, options.onProgress ?? (() => {}));
  for (let attempt = 1; ; attempt++) {
    const server = new Server(spec, binary, options.port ?? (await freePort()));
    try {
      await server.restart();
      options.onProgress?.(`${spec.name}: started on port ${server.port}`);
      return server;
    } catch (error) {
      // Somebody may have taken the free port meanwhile; one that the caller named is named on purpose.
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
    // A folder that nobody else may enter. The server reads its configuration once, at its start.
    const folder = await mkdtemp(join(tmpdir(), "taskwire-server-"));
    try {
      const file = join(folder, "server.conf");
      await writeFile(file, this.#spec.configuration(this.port), { mode: 0o600 });
      await this.#start(file);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #start(file: string): Promise<void> {
    const { name, args, say, reply } = this.#spec;
    const child = spawn(this.#binary, args(file), {
      cwd: tmpdir(),
      env: cleanEnv(),
      detached: true, // Ctrl-C is for the services, which need their broker while they drain
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
 * Ends `child` when this process does, however it does: a guard waits on a pipe that the system closes with us.
 * (Exit handlers do not run on kill -9, and not on an unhandled SIGTERM either.) Windows has no such guard.
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

/** Whether the server on `port`, told `say`, answers with what begins with `reply` within 250 ms. */
function replies(port: number, say: string, reply: string): Promise<boolean> {
  return new Promise((settle) => {
    const socket = connect(port, "127.0.0.1");
    const done = (answer: boolean): void => {
      socket.destroy();
      settle(answer);
    };
    socket.setTimeout(250, () => done(false));
    socket.once("error", () => done(false));
    socket.once("end", () => done(false));
    socket.once("data", (data) => done(data.toString().startsWith(reply)));
    socket.write(say);
  });
}
