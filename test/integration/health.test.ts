import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { startNats } from "../../local/nats.ts";
import { freePort } from "../../local/ports.ts";
import { startRedis } from "../../local/redis.ts";
import { until } from "../../local/until.ts";
import { startNode } from "../../node.ts";
import { bodyOf } from "../support/answer.ts";
import { calmNow } from "../support/calm-clock.ts";
import { mustConform } from "../support/conformance.ts";
import { freshDatabase } from "../support/database.ts";
import { type Gate, gateTo } from "../support/gate.ts";
import { Api } from "../support/api.ts";
import { testConfig, type TestNode, withoutService } from "../support/node.ts";

/** The contract's second in which health answers, whatever hangs. */
const PROMPT_MS = 1000;

let nats: Awaited<ReturnType<typeof startNats>>;
let redis: Awaited<ReturnType<typeof startRedis>>;
let postgres: Gate;
let node: TestNode;
let ops: string;

beforeAll(async () => {
  [nats, redis, postgres] = await Promise.all([startNats(), startRedis(), freshDatabase().then(gateTo)]);
  await postgres.open();
  const OPS_PORT = await freePort();
  ops = `http://127.0.0.1:${OPS_PORT}`;
  const config = {
    ...testConfig(postgres.url),
    NATS_URL: nats.url,
    REDIS_URL: redis.url,
    OPS_PORT,
    // Without METRICS_TOKEN: the public port has no metrics then.
    production: true,
    // Few requests of an address: a probe that cost a budget would fail soon.
    RATE_LIMIT: "on" as const,
    RATE_LIMIT_DEFAULT: { points: 4, duration: 60 },
  };
  const broker = await startNode(config);
  const { server } = broker.getLocalService("api-gateway") as unknown as { server: Server };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  node = { broker, config, url, api: new Api(url), stop: () => broker.stop() };
});
afterAll(async () => {
  postgres?.resume();
  await node?.stop();
  await Promise.all([nats?.stop(), redis?.stop(), postgres?.close()]);
});

interface Told {
  status: number;
  body: any;
}

/** Asks without keeping the connection, so that it holds up no stop. */
async function ask(origin: string, path: string, method = "GET"): Promise<Told & { response: Response }> {
  const began = calmNow();
  const response = await fetch(`${origin}${path}`, { method, headers: { Connection: "close" } });
  const text = await response.text();
  expect(calmNow() - began).toBeLessThan(PROMPT_MS);
  expect(text).not.toMatch(/127\.0\.0\.1|postgres:|nats:|redis:|ECONN/);
  const { status, headers } = response;
  mustConform(method, path, { status, headers, body: bodyOf(headers, text) });
  return { status, body: text.startsWith("{") ? JSON.parse(text) : text, response };
}

/** Both servers say the same of one node, within a second, and live on. */
async function expectBoth(
  status: string,
  missing: string[],
  parts: Record<string, { state: string }>,
): Promise<void> {
  const isUp = status !== "down";
  for (const origin of [ops, node.url]) {
    const [live, ready, health] = await Promise.all(
      ["/live", "/ready", "/health"].map((path) => ask(origin, path)),
    );
    expect(live).toMatchObject({ status: 200, body: { status: "live" } });
    expect(ready).toMatchObject({
      status: isUp ? 200 : 503,
      body: { status: isUp ? "ready" : "waiting", missing },
    });
    expect(health).toMatchObject({ status: isUp ? 200 : 503, body: { status, ...parts } });
  }
  const { body: metrics } = await ask(ops, "/metrics");
  expect(metrics).toMatch(new RegExp(`^taskwire_ready ${isUp ? 1 : 0}$`, "m"));
  for (const [name, { state }] of Object.entries(parts))
    expect(metrics).toContain(`\ntaskwire_dependency_up{dependency="${name}"} ${state === "up" ? 1 : 0}\n`);
}

const isReady = () => until(async () => (await ask(ops, "/ready")).status === 200, 10_000);

/** An answer is good for a moment: waits until the node has asked again. Each answer on the way is prompt, too. */
async function seen(part: "database" | "redis" | "nats", state: "up" | "down"): Promise<void> {
  expect(await until(async () => (await ask(ops, "/health")).body[part].state === state, 5000)).toBe(true);
}

const UP = { state: "up", latency_ms: expect.any(Number) };
const DOWN = { state: "down", latency_ms: null };

test("all is there: ready and healthy at both ports, HEAD like GET, and probes cost no budget", async () => {
  await expectBoth("degraded", [], { database: UP, nats: UP, redis: UP });
  const { body } = await ask(node.url, "/health");
  expect(body).toMatchObject({
    version: expect.stringMatching(/^\d+\.\d+\.\d+$/),
    uptime: expect.any(Number),
  });
  // The tests run no jobs by time.
  expect(body.services).toMatchObject({ "api-gateway": 1, auth: 1, tasks: 1, notifier: 1, jobs: 0 });
  for (const origin of [ops, node.url])
    for (const path of ["/live", "/ready", "/health"]) {
      const head = await ask(origin, `${path}/?x=1`, "HEAD");
      expect([head.status, head.body]).toEqual([200, ""]);
      expect(head.response.headers.get("content-type")).toBe("application/json; charset=utf-8");
      expect(head.response.headers.get("cache-control")).toBe("no-store");
    }
  const post = await ask(node.url, "/health", "POST");
  expect([post.status, post.response.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
  const options = await ask(node.url, "/ready", "OPTIONS");
  expect([options.status, options.response.headers.get("allow")]).toEqual([204, "GET, HEAD, OPTIONS"]);
});

test("in production the public port has no metrics without a token, and OPS_PORT has", async () => {
  expect((await ask(node.url, "/metrics")).status).toBe(404);
  expect((await fetch(`${ops}/metrics`, { headers: { Connection: "close" } })).status).toBe(200);
});

test("Postgres refuses connections, or holds all bytes: not ready and down within a second, and back without a restart", async () => {
  await postgres.close();
  await seen("database", "down");
  await expectBoth("down", ["database"], { database: DOWN, nats: UP, redis: UP });
  await postgres.open();
  expect(await isReady()).toBe(true);
  postgres.stall();
  await seen("database", "down");
  await expectBoth("down", ["database"], { database: DOWN, nats: UP, redis: UP });
  postgres.resume();
  expect(await isReady()).toBe(true);
});

test("Redis hangs: degraded, and still ready", async () => {
  redis.pause();
  await seen("redis", "down");
  await expectBoth("degraded", [], { database: UP, nats: UP, redis: DOWN });
  redis.resume();
  await seen("redis", "up");
});

test("NATS is killed: not ready and down, whatever the broker believes, and back without a restart", async () => {
  await nats.kill();
  await seen("nats", "down");
  await expectBoth("down", ["nats"], { database: UP, nats: DOWN, redis: UP });
  await nats.restart();
  expect(await isReady()).toBe(true);
});

test("a service without a node: the gateway that has routes to it is not ready", async () => {
  await withoutService(node, "tasks", async () => {
    expect(await ask(ops, "/ready")).toMatchObject({ status: 503, body: { missing: ["tasks"] } });
    expect((await ask(node.url, "/health")).body.services.tasks).toBe(0);
  });
  await withoutService(node, "mailer", async () => {
    expect((await ask(ops, "/ready")).status).toBe(200);
  });
});

test("a node that stops is not ready at once, says so to the last, and ends its server for operators", async () => {
  const ended = node.broker.stop();
  expect(await ask(ops, "/ready")).toMatchObject({ status: 503, body: { status: "stopping", missing: [] } });
  expect((await ask(ops, "/live")).status).toBe(200);
  expect((await ask(ops, "/health")).body.status).toBe("down");
  await ended;
  await expect(fetch(`${ops}/live`)).rejects.toThrow();
});
