import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import type { Server } from "node:http";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { ServiceBroker } from "moleculer";
import pg from "pg";
import { loadConfig } from "../../core/config.ts";
import type { LoggedEvent } from "../../core/events.ts";
import { type LocalPostgres, startPostgres } from "../../local/postgres.ts";
import { until } from "../../local/until.ts";
import { migrate } from "../../migrations/migrate.ts";
import { type Database, databaseOf, type Queryable, type Statement } from "../../mixins/database.ts";
import { readMoment } from "../../mixins/event-log.queries.ts";
import { startNode } from "../../node.ts";
import { Api, type Person } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { openDatabase } from "../support/database.ts";
import { INVENTED } from "../support/frames.ts";
import { testConfig } from "../support/node.ts";
import { TestSocket } from "../support/socket.ts";

let dir: string;
let postgres: LocalPostgres;
let broker: ServiceBroker;
let url: string;
let ada: Person;
let socket: TestSocket;

const start = () => startPostgres({ dir: join(dir, "postgres"), durable: false });

const AWAY = "503 /problems/database-unavailable";
const SILENT = "504 /problems/timeout";

/** Requests of each kind, and what they answer while the database is away. */
const REQUESTS: [string, string, object?][] = [
  ["GET", "/tasks"],
  ["GET", "/projects"],
  ["GET", "/auth/me"],
  ["POST", "/tasks", { title: "Not now" }],
  ["POST", "/auth/login", { login: "nobody", password: "none" }],
];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "taskwire-outage-"));
  await chmod(dir, 0o755);
  postgres = await start();
  await migrate(postgres.url);
  broker = await startNode(testConfig(postgres.url, { DATABASE_TIMEOUT: loadConfig({}).DATABASE_TIMEOUT }));
  const { server } = broker.getLocalService("api-gateway") as unknown as { server: Server };
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  ada = await new Api(url).person("ada");
  socket = await TestSocket.connect(url, { token: ada.token });
});
afterAll(async () => {
  socket?.close();
  await broker?.stop();
  await postgres?.stop();
  await rm(dir, { recursive: true, force: true });
});

/** @param problems of which each answer has one */
async function expectPromptRefusal(...problems: string[]): Promise<void> {
  const began = calmNow();
  const answers = await Promise.all(
    REQUESTS.map(([method, path, body]) => ada.api.request(method, path, body)),
  );
  expect(calmNow() - began).toBeLessThan(2500);
  for (const { status, headers, body } of answers) {
    expect(problems).toContain(`${status} ${body.type}`);
    expect(headers.get("retry-after")).toBe("1");
    expect(JSON.stringify(body)).not.toMatch(/ECONN|127\.0\.0\.1|at .*\.ts/);
  }
}

async function expectRecovery(title: string): Promise<void> {
  expect(await until(async () => (await ada.api.get("/tasks")).status === 200, 10_000)).toBe(true);
  expect(await until(async () => (await ada.api.get("/auth/me")).status === 200, 10_000)).toBe(true);
  const task = await ada.api.must("POST", "/tasks", { title });
  await socket.waitFor(() =>
    socket.events.some(({ data }) => (data as { task: { id: string } }).task.id === task.id),
  );
}

test("Postgres stops: 503 within 2 s for everything; it starts: all is served again without a restart", async () => {
  await postgres.stop();
  await expectPromptRefusal(AWAY);
  // A stock client that knocks meanwhile is never told to stay away.
  const knocking = new TestSocket(url, { token: ada.token }, { reconnection: true });
  await knocking.waitFor(() => knocking.ends.length > 0, "being let go");
  postgres = await start();
  await knocking.waitFor(() => `user:${ada.id}` in knocking.ready, "its streams");
  expect(new Set(knocking.ends)).toEqual(new Set(["transport close"]));
  knocking.close();
  await expectRecovery("after the stop");
});

test("Postgres freezes: 503 or 504 within 2 s too; it thaws: all is served again", async () => {
  // All its processes: each connection has one, in a session of its own.
  const client = new pg.Client({ connectionString: postgres.url });
  await client.connect();
  const { rows } = await client.query<{ pid: number }>(
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()",
  );
  await client.end();
  const signal = (name: NodeJS.Signals) =>
    [postgres.pid, ...rows.map(({ pid }) => pid)].forEach((pid) => process.kill(pid, name));
  signal("SIGSTOP");
  try {
    // Connections that were open hear nothing, and nothing tells that from a slow statement.
    await expectPromptRefusal(AWAY, SILENT);
  } finally {
    signal("SIGCONT");
  }
  await expectRecovery("after the frost");
  // What was sent to a frozen Postgres it does when it thaws: each once, without a hole.
  const seqs = socket.events.map(({ seq }) => seq);
  expect(seqs).toEqual(seqs.map((_seq, n) => n + 1));
});

/** Numbers of transactions that are lost, for what the node writes by itself when Postgres is back. */
const SPARE = 20;
const WRITERS = ["walwriter", "checkpointer", "background writer"];

/** Does some work, of which Postgres keeps nothing: it is killed before anything reaches the disk. */
async function loseAll<Result>(client: pg.Client, work: () => Promise<Result>): Promise<Result> {
  await client.query("ALTER SYSTEM SET autovacuum = off");
  await client.query("SELECT pg_reload_conf()");
  await client.query("CHECKPOINT");
  const { rows } = await client.query<{ pid: number; type: string }>(
    "SELECT pid, backend_type AS type FROM pg_stat_activity",
  );
  for (const { pid, type } of rows) if (WRITERS.includes(type)) process.kill(pid, "SIGSTOP");
  try {
    return await work();
  } finally {
    client.on("error", () => {});
    for (const pid of [postgres.pid, ...rows.map(({ pid }) => pid)]) process.kill(pid, "SIGKILL");
  }
}

/** The present moment, and the numbers of transactions in it. */
async function momentBy(client: pg.Client) {
  const query = async ({ text }: Statement) => (await client.query(text)).rows;
  const moment = await readMoment({ query } as Queryable);
  const snapshot = moment?.split(" ").at(-1) ?? "";
  return { moment, snapshot, next: Number(snapshot.split(":")[1]) };
}

test("Postgres is killed and has lost its last commits: it counts as before, and no event is overlooked", async () => {
  const { id } = await ada.api.must("POST", "/projects", { name: "Whole" });
  const [rewritten, whole] = [`user:${ada.id}`, `project:${id}`];
  await socket.waitFor(() => whole in socket.ready, "the project's stream");
  // Beats wait for the first of these, and for the second the cache, which writes to Postgres once it has lost it.
  const [beats, cache] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const held = new Map<string, Promise<void>>();
  let rested = "";
  const db = databaseOf(broker) as Database;
  const query = db.query.bind(db);
  db.query = async <Row extends object>(statement: Statement): Promise<Row[]> => {
    await held.get(statement.name ?? "");
    const found = await query<Row>(statement);
    if (statement.name === "events-moved") rested = JSON.stringify([statement.values, found]);
    return found;
  };
  let client = await openDatabase({ config: { DATABASE_URL: postgres.url } });
  const spend = () => client.query("SELECT pg_current_xact_id()");
  const { lost, before } = await loseAll(client, async () => {
    for (let n = 0; n < SPARE; n++) await spend();
    const seen = socket.of(rewritten).length;
    await ada.api.must("POST", "/tasks", { title: "Lost" });
    await socket.waitFor(() => socket.of(rewritten).length > seen, "the event that will be lost");
    const lost = socket.of(rewritten).at(-1) as LoggedEvent;
    // A beat found that it is the last event. No other asks again as long as it is this moment.
    const isAtRest = async () =>
      [lost.id, (await momentBy(client)).snapshot, '"name":null'].every((word) => rested.includes(word));
    expect(await until(isAtRest, 5000)).toBe(true);
    held.set("events-moment", beats.promise).set("cache-suspend", cache.promise);
    return { lost, before: await momentBy(client) };
  });

  postgres = await start();
  client = await openDatabase({ config: { DATABASE_URL: postgres.url } });
  while ((await momentBy(client)).next < before.next - 1) await spend();
  // As a node does that dies between its commit and its hint.
  await client.query(
    `WITH head AS (UPDATE events.streams SET head = head + 1, last_id = gen_random_uuid() WHERE name = ANY($1)
       RETURNING name, head, last_id)
     INSERT INTO events.log (stream, seq, id, type, time, request_id, data)
     SELECT name, head, last_id, 'task_updated', now(), '${INVENTED}', '{}' FROM head`,
    [[rewritten, whole]],
  );
  const after = await momentBy(client);
  await client.end();
  expect(after.snapshot).toBe(before.snapshot);
  expect(after.moment).not.toBe(before.moment);
  const began = calmNow();
  delete socket.ready[rewritten];
  beats.resolve();
  await socket.waitFor(() => socket.of(whole).length === 1, "the event that no hint brought");
  await socket.waitFor(() => rewritten in socket.ready, "the word that events are lost");
  expect(calmNow() - began).toBeLessThan(2500);
  expect(socket.ready[rewritten]).toMatchObject({ seq: lost.seq, recovered: false });
  cache.resolve();
  db.query = query;
});
