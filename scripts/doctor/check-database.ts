import pg from "pg";
import type { Config } from "../../core/config.ts";
import { connectionsOf } from "../../core/connections.ts";
import { explain } from "../../core/explain.ts";
import { describeDatabase, mustBeMigrated } from "../../migrations/ready.ts";
import { usableConnections } from "../../mixins/connection-budget.ts";
import { check, CONNECT_MS, type Level, unlessProduction } from "./findings.ts";

type Say = (level: Level, text: string) => void;

/** The oldest Postgres that the migrations run on. */
const OLDEST = 15;
/** Milliseconds that the clocks of node and Postgres may differ: tokens and events have times of both. */
const [SKEW_MS, BAD_SKEW_MS] = [500, 5000];

interface Server {
  version: string;
  major: number;
  is_standby: boolean;
  encoding: string;
  synchronous_commit: string;
  fsync: string;
  full_page_writes: string;
  standbys: string;
  others: number;
}

/** @param ms the node's clock less Postgres' */
export function describeSkew(ms: number): [Level, string] {
  const size = Math.abs(ms);
  const text = `clock ${size < 1000 ? `${Math.round(size)} ms` : `${(size / 1000).toFixed(1)} s`} ${ms < 0 ? "behind" : "ahead of"} Postgres'`;
  const todo = ": run chrony or another NTP client on both machines";
  return size < SKEW_MS ? ["ok", text] : [size < BAD_SKEW_MS ? "warn" : "fail", text + todo];
}

export function describeVersion(major: number, version: string): [Level, string] {
  return major >= OLDEST
    ? ["ok", `Postgres ${version}`]
    : ["fail", `Postgres ${version} is too old: upgrade it to ${OLDEST} or later`];
}

async function readServer(client: pg.Client): Promise<Server> {
  const { rows } = await client.query<Server>(`
    SELECT split_part(current_setting('server_version'), ' ', 1) AS version,
           current_setting('server_version_num')::int / 10000 AS major,
           pg_is_in_recovery() AS is_standby,
           current_setting('server_encoding') AS encoding,
           current_setting('synchronous_commit') AS synchronous_commit,
           current_setting('fsync') AS fsync,
           current_setting('full_page_writes') AS full_page_writes,
           current_setting('synchronous_standby_names') AS standbys,
           (SELECT count(*)::int - 1 FROM pg_stat_activity WHERE backend_type = 'client backend') AS others`);
  return rows[0] as Server;
}

/** Whether what was acknowledged survives a crash of Postgres, and the loss of its machine. */
function judgeDurability(config: Config, server: Server, say: Say): void {
  const { synchronous_commit, fsync, full_page_writes, standbys } = server;
  const bad = unlessProduction(config);
  if (synchronous_commit === "off")
    say(bad, "synchronous_commit is off, so a crash loses acknowledged writes: set it to on");
  for (const [name, value] of Object.entries({ fsync, full_page_writes }))
    if (value === "off") say(bad, `${name} is off, so a crash may destroy the database: set it to on`);
  if (config.production && standbys === "")
    say(
      "warn",
      "no synchronous standby: a failover may lose acknowledged writes (synchronous_standby_names)",
    );
}

async function judgeConnections(config: Config, client: pg.Client, others: number, say: Say): Promise<void> {
  const most = connectionsOf(config);
  const usable = await usableConnections(client);
  const text = `this node may open ${most} connections; Postgres takes ${usable}, and ${others} are open`;
  if (most > usable) say("fail", `${text}: raise max_connections, or lower DATABASE_POOL`);
  else if (most + others > usable) say("warn", `${text}: raise max_connections, or lower DATABASE_POOL`);
  else say("ok", text);
}

async function judgeClock(client: pg.Client, say: Say): Promise<void> {
  const before = Date.now();
  const { rows } = await client.query<{ ms: number }>(
    "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms",
  );
  say(...describeSkew((before + Date.now()) / 2 - (rows[0]?.ms ?? 0)));
}

export const checkDatabase = check("database", async (config, say) => {
  if (config.DATABASE_URL === "")
    return say("ok", `an embedded Postgres below ${config.DATA_DIR}, which \`npm start\` starts`);
  const where = describeDatabase(config.DATABASE_URL);
  const client = new pg.Client({
    connectionString: config.DATABASE_URL,
    connectionTimeoutMillis: CONNECT_MS,
    query_timeout: CONNECT_MS,
    application_name: "taskwire doctor",
  });
  client.on("error", () => {});
  const began = performance.now();
  try {
    await client.connect();
  } catch (error) {
    void client.end().catch(() => {});
    return say("fail", `${where} can't be reached (${explain(error)}): start it, or correct DATABASE_URL`);
  }
  try {
    const server = await readServer(client);
    const [level, version] = describeVersion(server.major, server.version);
    say(level, `${version} at ${where}, answers in ${Math.round(performance.now() - began)} ms`);
    if (server.is_standby)
      say("fail", `${where} is a standby, which takes no writes: name the primary in DATABASE_URL`);
    if (server.encoding !== "UTF8")
      say("fail", `its encoding is ${server.encoding}: make the database with ENCODING 'UTF8'`);
    await mustBeMigrated(config.DATABASE_URL).then(
      () => say("ok", "has every migration of this version"),
      (error: unknown) => say("fail", explain(error)),
    );
    judgeDurability(config, server, say);
    await judgeConnections(config, client, server.others, say);
    await judgeClock(client, say);
  } finally {
    void client.end().catch(() => {});
  }
});
