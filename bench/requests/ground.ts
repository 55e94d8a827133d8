/** What all servers of `npm run bench` stand on. All of it listens on 127.0.0.1 alone and ends with the bench. */
import { randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import pg from "pg";
import { startNats } from "../../local/nats.ts";
import { startPostgres } from "../../local/postgres.ts";
import type { Part } from "../../local/program.ts";
import { startRedis } from "../../local/redis.ts";
import type { LocalServer } from "../../local/server-process.ts";
import { migrate } from "../../migrations/migrate.ts";

export interface Ground {
  nats: LocalServer;
  redis: LocalServer;
  /** The secret of access tokens: one token is good at all servers. */
  secret: string;
  /** The folder of all logs. */
  logs: string;
  /** The folder where each process of a server writes `<process>.log`. */
  logsOf(server: string): Promise<string>;
  /** A database with Taskwire's tables, for the data that all servers begin with. */
  prepared: string;
  /** A copy of the prepared database, which nobody may use meanwhile. @returns its URL */
  copy(name: string): Promise<string>;
  /** The processes of Postgres that work for a database, or for all of them. */
  backends(name: string): Promise<number[]>;
}

/** What a server is started with. */
export interface Start {
  ground: Ground;
  own: (part: Part) => void;
  say: (line: string) => void;
  /** Whether its Node processes let themselves be profiled. */
  inspected: boolean;
}

const PREPARED = "prepared";

export async function prepareGround(own: (part: Part) => void): Promise<Ground> {
  const folder = await mkdtemp(join(tmpdir(), "taskwire-bench-"));
  own({ name: "temporary files", stop: () => rm(folder, { recursive: true, force: true }) });
  // Postgres never runs as root: its own user must reach the folder.
  await chmod(folder, 0o755);
  const postgres = await startPostgres({ dir: join(folder, "postgres"), durable: false });
  own({ name: "Postgres", stop: () => postgres.stop() });
  const nats = await startNats();
  own({ name: "NATS", stop: () => nats.stop() });
  const redis = await startRedis();
  own({ name: "Redis", stop: () => redis.stop() });

  const admin = new pg.Client({ connectionString: postgres.url });
  await admin.connect();
  own({ name: "a connection to Postgres", stop: () => admin.end() });
  const urlOf = (name: string): string => Object.assign(new URL(postgres.url), { pathname: name }).href;
  await admin.query(`CREATE DATABASE ${PREPARED}`);
  await migrate(urlOf(PREPARED));
  const logs = join(folder, "logs");
  return {
    nats,
    redis,
    secret: randomBytes(32).toString("base64url"),
    logs,
    async logsOf(server) {
      await mkdir(join(logs, server), { recursive: true });
      return join(logs, server);
    },
    prepared: urlOf(PREPARED),
    async copy(name) {
      await admin.query(`CREATE DATABASE "${name}" TEMPLATE ${PREPARED}`);
      return urlOf(name);
    },
    async backends(name) {
      const { rows } = await admin.query<{ pid: number }>({
        name: "backends",
        text: "SELECT pid FROM pg_stat_activity WHERE datname = $1 OR datname IS NULL",
        values: [name],
      });
      return rows.map(({ pid }) => pid);
    },
  };
}

/** Brings the statistics of a database up to date, as autovacuum does in time. */
export async function analyse(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("VACUUM ANALYZE");
  await client.end();
}

/** The last lines of each process that writes into `folder`. */
export async function lastLines(folder: string): Promise<string> {
  const files = await readdir(folder);
  const texts = await Promise.all(
    files.map(async (file) => {
      const lines = (await readFile(join(folder, file), "utf8")).trim().split("\n");
      return lines.slice(-3).map((line) => `${file}: ${line}`);
    }),
  );
  return texts.flat().join("\n");
}

/** The warnings and errors in the logs: figures of a system that complains say little. @returns a few of them, and how many */
export async function complaintsIn(folder: string): Promise<string[]> {
  const seen = new Map<string, number>();
  const files = await readdir(folder, { recursive: true });
  for (const file of files.filter((name) => name.endsWith(".log")))
    for await (const line of createInterface({ input: createReadStream(join(folder, file)) })) {
      if (!/"level":"(?:warn|error|fatal)"/.test(line) || line.includes("mail is switched off")) continue;
      const { msg = line } = JSON.parse(line) as { msg?: string };
      const key = `${file.replace(/\.log$/, "")}: ${msg}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
  return [...seen].slice(0, 10).map(([line, times]) => `${times} × ${line}`);
}
