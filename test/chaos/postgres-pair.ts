/**
 * A primary and a synchronous standby on 127.0.0.1, of the binaries that the project brings along. Standbys and backups are
 * copies of the primary's folder, made while it runs (Postgres' manual, Making a Base Backup Using the Low Level API).
 */
import { execFile } from "node:child_process";
import { appendFile, chown, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { type Binaries, postgresBinaries, unprivilegedUser } from "../../local/postgres/binaries.ts";
import { prepare, urlOf } from "../../local/postgres/data-folder.ts";
import { type Cluster, findPostmaster, kill, spawnPostmaster } from "../../local/postgres/postmaster.ts";
import { until } from "../../local/until.ts";
import { TcpProxy } from "./tcp-proxy.ts";

const START_MS = 30_000;
const STOP_MS = 10_000;

/** fsync is off: processes are killed here, and the machine is not. */
const SETTINGS = `
fsync = off
full_page_writes = on
shared_buffers = 64MB
wal_level = replica
wal_keep_size = 512MB
max_wal_senders = 8
hot_standby = on
synchronous_commit = on
track_commit_timestamp = on
wal_receiver_status_interval = 1s
wal_retrieve_retry_interval = 200ms
`;

/** One server, which keeps its folder. */
class Instance {
  readonly cluster: Cluster;
  readonly #binaries: Binaries;
  port = 0;
  #pid = 0;

  constructor(home: string, binaries: Binaries) {
    this.cluster = {
      home,
      data: join(home, "data"),
      log: join(home, "postgres.log"),
      user: unprivilegedUser(),
    };
    this.#binaries = binaries;
  }

  async make(): Promise<void> {
    await makeFolder(this.cluster.home);
    await prepare(this.cluster, this.#binaries, () => {});
    await appendFile(join(this.cluster.data, "postgresql.conf"), SETTINGS);
  }

  /** Starts the server, and waits until it takes connections. */
  async start(): Promise<void> {
    let child = await spawnPostmaster(this.cluster, this.#binaries, true);
    this.#pid = child.pid;
    const isReady = await until(async () => {
      if (child.exited()) {
        const log = await child.log();
        // The processes of a server that was killed take a moment to end: its supervisor tries again, too.
        if (!log.includes("pre-existing shared memory block"))
          throw new Error(`Postgres ended:\n${log.slice(-2000)}`);
        child = await spawnPostmaster(this.cluster, this.#binaries, true);
        this.#pid = child.pid;
      }
      this.port = (await findPostmaster(this.cluster))?.port ?? 0;
      return this.port !== 0 && (await this.query("SELECT 1").then(Boolean, () => false));
    }, START_MS);
    if (!isReady) throw new Error(`Postgres in ${this.cluster.home} does not answer`);
  }

  /** SIGINT: a fast shutdown. SIGKILL: the server is gone without a word. */
  async stop(signal: "SIGINT" | "SIGKILL" = "SIGINT"): Promise<void> {
    if (this.#pid === 0) return;
    const isGone = async (): Promise<boolean> => (await findPostmaster(this.cluster))?.pid !== this.#pid;
    kill(this.#pid, signal);
    if (!(await until(isGone, STOP_MS))) kill(this.#pid, "SIGKILL");
    await until(isGone, STOP_MS);
    this.#pid = 0;
  }

  async url(database: string): Promise<string> {
    const url = new URL(await urlOf(this.cluster, this.port));
    url.pathname = database;
    return url.href;
  }

  async query<Row extends object>(...texts: string[]): Promise<Row[]> {
    return this.session((client) => runAll<Row>(client, texts));
  }

  async session<Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result> {
    const client = new pg.Client({
      connectionString: await this.url("postgres"),
      connectionTimeoutMillis: 3000,
    });
    client.on("error", () => {});
    try {
      await client.connect();
      return await work(client);
    } finally {
      await client.end().catch(() => {});
    }
  }
}

async function runAll<Row extends object>(client: pg.Client, texts: string[]): Promise<Row[]> {
  let rows: Row[] = [];
  for (const text of texts) rows = (await client.query<Row>(text)).rows;
  return rows;
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  const user = unprivilegedUser();
  if (user) await chown(path, user.uid, user.gid);
}

/** Copies a folder as Postgres' user; files that vanish under way are no failure. */
const copy = (from: string, to: string): Promise<unknown> =>
  promisify(execFile)("/bin/sh", ["-c", 'cp -a "$0" "$1" 2>/dev/null || test -e "$1"', from, to]);

export class PostgresPair {
  readonly #folder: string;
  readonly #binaries: Binaries;
  #made = 0;
  #primary: Instance;
  #standby: Instance | null = null;
  /** What the standby gets the primary's log through. */
  #link: TcpProxy | null = null;
  #backup: string | null = null;

  private constructor(folder: string, binaries: Binaries) {
    this.#folder = folder;
    this.#binaries = binaries;
    this.#primary = this.#newInstance();
  }

  /** @param folder empty, and open to Postgres' user */
  static async start(folder: string, own: (pair: PostgresPair) => void): Promise<PostgresPair> {
    const pair = new PostgresPair(folder, await postgresBinaries(unprivilegedUser()));
    own(pair);
    await pair.#primary.make();
    await pair.#primary.start();
    return pair;
  }

  /** The port of the present primary. */
  get port(): number {
    return this.#primary.port;
  }

  /** A URL that leads to the present primary directly. */
  urlOf(database: string): Promise<string> {
    return this.#primary.url(database);
  }

  async createDatabase(name: string): Promise<void> {
    await this.#primary.query(`CREATE DATABASE ${name}`);
  }

  /** Makes a standby of the present primary, and lets commits wait for it from then on. */
  async addStandby(): Promise<void> {
    const standby = this.#newInstance();
    await makeFolder(standby.cluster.home);
    await this.#copyTo(standby.cluster.data);
    const { password } = new URL(await this.#primary.url("postgres"));
    const { port } = this.#primary;
    this.#link = await TcpProxy.listen(() => port);
    const source = `host=127.0.0.1 port=${this.#link.port} user=taskwire password=${password}`;
    await this.#write(standby.cluster.data, "standby.signal", "");
    await appendFile(
      join(standby.cluster.data, "postgresql.auto.conf"),
      `primary_conninfo = '${source}'\nsynchronous_standby_names = ''\n`,
    );
    this.#standby = standby;
    await standby.start();
    await this.#primary.query("ALTER SYSTEM SET synchronous_standby_names = '*'", "SELECT pg_reload_conf()");
    const streams = "SELECT 1 FROM pg_stat_replication WHERE state = 'streaming'";
    if (!(await until(async () => (await this.#primary.query(streams)).length > 0, START_MS)))
      throw new Error("the standby does not follow");
  }

  async restart(signal: "SIGINT" | "SIGKILL"): Promise<void> {
    await this.#primary.stop(signal);
    await this.#primary.start();
  }

  /** Holds up the log on its way to the standby: what the primary acknowledged without it would not survive a failover. */
  stallStandby(): void {
    this.#link?.set("stalled");
  }

  async #dropLink(): Promise<void> {
    await this.#link?.close();
    this.#link = null;
  }

  /**
   * The primary dies under its clients, the standby is promoted, and the name moves to it. There is no standby after that.
   */
  async failover(): Promise<void> {
    const [former, standby] = [this.#primary, this.#standby];
    if (standby === null) throw new Error("there is no standby");
    await former.stop("SIGKILL");
    await this.#dropLink();
    await standby.query("SELECT pg_promote(true, 30)");
    this.#primary = standby;
    this.#standby = null;
    await rm(former.cluster.home, { recursive: true, force: true });
  }

  /** Keeps a copy of the primary as it is now. */
  async backUp(): Promise<void> {
    const folder = join(this.#folder, `backup-${++this.#made}`);
    await makeFolder(folder);
    await this.#copyTo(join(folder, "data"));
    if (this.#backup !== null) await rm(this.#backup, { recursive: true, force: true });
    this.#backup = folder;
  }

  /** Puts the copy in the primary's place, and starts it. There is no standby after that. */
  async restore(): Promise<void> {
    if (this.#backup === null) throw new Error("there is no backup");
    await this.#standby?.stop("SIGKILL");
    await this.#dropLink();
    await this.#primary.stop();
    const { cluster } = this.#primary;
    await rm(cluster.data, { recursive: true, force: true });
    await copy(join(this.#backup, "data"), cluster.data);
    await appendFile(join(cluster.data, "postgresql.auto.conf"), "synchronous_standby_names = ''\n");
    await this.#primary.start();
    if (this.#standby !== null) await rm(this.#standby.cluster.home, { recursive: true, force: true });
    this.#standby = null;
  }

  async stop(): Promise<void> {
    await Promise.all([this.#primary.stop("SIGKILL"), this.#standby?.stop("SIGKILL")]);
    await this.#dropLink();
  }

  #newInstance(): Instance {
    return new Instance(join(this.#folder, `server-${++this.#made}`), this.#binaries);
  }

  async #copyTo(data: string): Promise<void> {
    const from = this.#primary.cluster.data;
    const label = await this.#primary.session(async (client) => {
      await client.query("SELECT pg_backup_start('chaos', fast => true)");
      await copy(from, data);
      const { rows } = await client.query<{ labelfile: string }>(
        "SELECT labelfile FROM pg_backup_stop(wait_for_archive => false)",
      );
      return rows[0]?.labelfile ?? "";
    });
    for (const name of ["postmaster.pid", "postmaster.opts", "standby.signal", "pg_wal"])
      await rm(join(data, name), { recursive: true, force: true });
    // The log of changes that were made while the copy was.
    await copy(join(from, "pg_wal"), join(data, "pg_wal"));
    await this.#write(data, "backup_label", label);
  }

  async #write(data: string, name: string, content: string): Promise<void> {
    const file = join(data, name);
    await writeFile(file, content, { mode: 0o600 });
    const { user } = this.#primary.cluster;
    if (user) await chown(file, user.uid, user.gid);
  }
}
