import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AddressInfo } from "node:net";
import type { Server } from "node:http";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import type { ServiceBroker } from "moleculer";
import pg from "pg";
import { loadConfig } from "../../core/config.ts";
import { type LocalPostgres, startPostgres } from "../../local/postgres.ts";
import { until } from "../../local/until.ts";
import { migrate } from "../../migrations/migrate.ts";
import { startNode } from "../../node.ts";
import { Api, type Person } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
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
