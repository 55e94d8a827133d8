import { resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { postgresBinaries } from "./postgres/binaries.ts";
import { locate, prepare, urlOf } from "./postgres/data-folder.ts";
import {
  ask,
  findPostmaster,
  forgetPostmaster,
  interrupt,
  kill,
  spawnPostmaster,
} from "./postgres/postmaster.ts";
import type { Cluster, SpawnedPostmaster } from "./postgres/postmaster.ts";
import { until } from "./until.ts";

const START_MS = 30_000;
const STOP_MS = 10_000;

export interface LocalPostgres {
  /** `postgres://taskwire:<password>@127.0.0.1:<port>/postgres`, a superuser's. */
  readonly url: string;
  /** The folder that holds `data/` and `postgres.log`: `dir`, or the place outside that `dir/elsewhere` points to. */
  readonly dir: string;
  readonly pid: number;
  /** True when it ran already: a killed parent left it, or a process that still uses it started it. */
  readonly reused: boolean;
  /** Ends it, even while others use it: a fast shutdown, and a kill after 10 s. Resolves when it is gone; may be called again. */
  stop(): Promise<void>;
  /** Ends it, unless other clients are connected. */
  release(): Promise<void>;
}

interface Options {
  /** Postgres' own folder, made if missing. Its content survives; to start afresh, stop Postgres and delete it. */
  dir: string;
  /** False is faster, and a power cut loses the data: for tests. */
  durable: boolean;
  onProgress?: (line: string) => void;
  /** Aborts the start: it ends what it began, then throws. */
  signal?: AbortSignal;
}

/**
 * Starts a real Postgres on 127.0.0.1 whose data lies in `dir`, or finds the one that runs there.
 *
 * Postgres outlives this process on purpose. It has a session of its own, so Ctrl-C does not reach it before the services
 * have drained. After `kill -9` of the parent the next start finds it through `postmaster.pid`, by which Postgres also
 * refuses a second server on the same data.
 *
 * Throws an error that says what to do: when another major version made the data, when the binaries are missing, and,
 * with the log's last lines, when Postgres fails or does not answer within 30 s.
 */
export async function startPostgres({
  dir,
  durable,
  onProgress = () => {},
  signal,
}: Options): Promise<LocalPostgres> {
  const cluster = await locate(resolve(dir), !durable);
  if (cluster.home !== resolve(dir))
    onProgress(`Postgres: its user can't reach ${dir}, so it uses ${cluster.home}`);

  const deadline = performance.now() + START_MS;
  let child: SpawnedPostmaster | undefined;
  let log = "";
  do {
    if (signal?.aborted) {
      if (child) await interrupt(child.pid, cluster);
      await until(() => child?.exited() ?? true, STOP_MS);
      throw signal.reason as Error;
    }
    // Each turn looks for the server and, unless it answers, mends one thing.
    const found = await findPostmaster(cluster);
    const url = found?.ready ? await urlOf(cluster, found.port) : undefined;
    const answer = url ? await ask(url) : "not yet";
    if (found && url && typeof answer === "object") {
      if (durable && !answer.fsync)
        throw new Error(`Postgres runs on ${cluster.data} without fsync: ${endIt(found.pid)}`);
      const reused = found.pid !== child?.pid;
      onProgress(`Postgres: ${reused ? "found" : "started"} on port ${found.port}, data in ${cluster.data}`);
      return new Server(cluster, url, found.pid, reused);
    }
    if (child?.exited()) {
      log = await child.log();
      if (!TRANSIENT_FAILURE.test(log)) throw failure("did not start", cluster, log);
      child = undefined;
    } else if (!child && answer === "not ours") {
      await forgetPostmaster(cluster);
    } else if (!child && !found) {
      const binaries = await postgresBinaries(cluster.user);
      await prepare(cluster, binaries, onProgress, signal);
      child = await spawnPostmaster(cluster, binaries, durable);
    }
    await delay(5);
  } while (performance.now() < deadline);

  const holder = child ? undefined : await findPostmaster(cluster);
  if (holder) throw new Error(`Postgres runs on ${cluster.data} and does not answer: ${endIt(holder.pid)}`);
  if (child) await interrupt(child.pid, cluster);
  throw failure(`did not answer within ${START_MS / 1000} s`, cluster, (await child?.log()) || log);
}

/** Failures that pass: another starter was faster, took the port, or a killed server's last processes still end. */
const TRANSIENT_FAILURE = /lock file .* already exists|is still in use|Address already in use|could not bind/;

class Server implements LocalPostgres {
  readonly url: string;
  readonly dir: string;
  readonly pid: number;
  readonly reused: boolean;
  readonly #cluster: Cluster;

  constructor(cluster: Cluster, url: string, pid: number, reused: boolean) {
    this.url = url;
    this.dir = cluster.home;
    this.pid = pid;
    this.reused = reused;
    this.#cluster = cluster;
  }

  async stop(): Promise<void> {
    const gone = async (): Promise<boolean> => (await findPostmaster(this.#cluster))?.pid !== this.pid;
    if (await gone()) return;
    await interrupt(this.pid, this.#cluster);
    if (await until(gone, STOP_MS)) return;
    kill(this.pid, "SIGKILL");
    await until(gone, STOP_MS);
  }

  async release(): Promise<void> {
    const answer = await ask(this.url);
    if (typeof answer === "string" || answer.otherClients === 0) await this.stop();
  }
}

const endIt = (pid: number): string => `end it (kill -INT ${pid}) and start again`;

function failure(what: string, cluster: Cluster, log: string): Error {
  const lines = log.trim().split("\n").slice(-10).join("\n");
  return new Error(
    `Postgres ${what}. See ${cluster.log}, or set DATABASE_URL to a Postgres of your own.\n${lines}`,
  );
}
