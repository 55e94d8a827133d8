import { execFile, spawn } from "node:child_process";
import { open, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { freePort, portFor } from "../ports.ts";
import { ENV, postgresBinaries } from "./binaries.ts";
import type { Binaries, User } from "./binaries.ts";

/** The place of a database cluster, and the user that runs it (undefined: this process's own). */
export interface Cluster {
  /** Holds `data` and `log`. */
  home: string;
  data: string;
  log: string;
  user: User | undefined;
}

/** A server's first process, as Postgres' own note `postmaster.pid` describes it. */
export interface Postmaster {
  pid: number;
  port: number;
  /** False while it starts, recovers or stops. */
  ready: boolean;
}

/** The living process that `postmaster.pid` names; another program may have got its pid since. */
export async function findPostmaster({ data }: Pick<Cluster, "data">): Promise<Postmaster | undefined> {
  const lines = (await readFile(pidFile(data), "utf8").catch(() => "")).split("\n");
  const pid = Number(lines[0]);
  return pid > 0 && isAlive(pid)
    ? { pid, port: Number(lines[3]), ready: lines[7]?.trim() === "ready" }
    : undefined;
}

/**
 * Removes a pid file whose pid went to another program. If a Postgres is alive on this data after all, the next one finds
 * its shared memory in use and refuses to start.
 */
export async function forgetPostmaster({ data }: Cluster): Promise<void> {
  await rm(pidFile(data), { force: true });
}

export type Answer = { fsync: boolean; otherClients: number } | "not ours" | "not yet";

/** Whether the server on `url` accepts our password. A server that starts, stops, or is full or slow may do so later. */
export async function ask(url: string): Promise<Answer> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 2_000,
    query_timeout: 2_000,
  });
  client.on("error", () => {}); // the query that fails with the connection says the same
  try {
    await client.connect();
    const { rows } = await client.query<{ fsync: boolean; otherClients: number }>(
      `SELECT current_setting('fsync')::bool AS fsync,
              (SELECT count(*)::int FROM pg_stat_activity
                WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS "otherClients"`,
    );
    return rows[0] ?? "not ours";
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const later = code === "57P03" || code === "53300" || /timeout/i.test(message);
    return later ? "not yet" : "not ours";
  } finally {
    await client.end().catch(() => {});
  }
}

export interface SpawnedPostmaster {
  pid: number;
  exited(): boolean;
  /** The log since this start. */
  log(): Promise<string>;
}

/** Starts the server in a session of its own, on this cluster's usual port unless that is taken. */
export async function spawnPostmaster(
  { home, data, log, user }: Cluster,
  { postgres }: Binaries,
  durable: boolean,
): Promise<SpawnedPostmaster> {
  const settings = {
    listen_addresses: "127.0.0.1",
    port: await freePort(portFor(home)),
    unix_socket_directories: "",
    max_connections: 200,
    ...(durable ? {} : { fsync: "off", synchronous_commit: "off", full_page_writes: "off" }),
  };
  const output = await open(log, "a", 0o600);
  await output.chmod(0o600); // an older version left it readable for every user
  const { size } = await output.stat();
  const child = spawn(
    postgres,
    ["-D", data, ...Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    {
      ...user,
      cwd: home,
      env: ENV,
      detached: true,
      windowsHide: true,
      stdio: ["ignore", output.fd, output.fd],
    },
  );
  const failed = new Promise<Error>((settle) => child.once("error", settle));
  child.unref();
  await output.close();
  if (child.pid === undefined) throw new Error(`Postgres did not start: ${(await failed).message}`);
  return {
    pid: child.pid,
    exited: () => child.exitCode !== null || child.signalCode !== null,
    log: async () => (await readFile(log)).subarray(size).toString(),
  };
}

/** Asks for a fast shutdown. Windows has no signals, so Postgres' own tool asks there. */
export async function interrupt(pid: number, { user }: Cluster): Promise<void> {
  if (process.platform !== "win32") return kill(pid, "SIGINT");
  const { pgCtl } = await postgresBinaries(user);
  await promisify(execFile)(pgCtl, ["kill", "INT", String(pid)], { env: ENV }).catch(() => {});
}

export function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // gone already
  }
}

const pidFile = (data: string): string => join(data, "postmaster.pid");

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
