/** Brokers as operators run them: a cluster of NATS, and a Redis that Sentinels fail over. */
import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { Redis } from "ioredis";
import { connect, type ConnectionOptions } from "nats";
import { startNats, startNatsCluster } from "../../local/nats.ts";
import { startRedis, startSentinel } from "../../local/redis.ts";
import type { LocalServer } from "../../local/server-process.ts";
import { until } from "../../local/until.ts";
import { connectRedis, RedisOutage } from "../../mixins/redis.ts";
import { brokerOptions } from "../../moleculer.config.ts";
import type { Person } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { testConfig } from "../support/node.ts";

const log = { warn: () => {}, info: () => {} };

describe("three NATS servers", () => {
  let cluster: TestCluster;
  let ada: Person;
  let servers: LocalServer[];
  beforeAll(async () => {
    servers = await startNatsCluster(3);
    cluster = await startTestCluster({ NATS_URL: servers.map(({ url }) => url).join(",") });
    ada = await cluster.api.person("ada");
  });
  afterAll(async () => {
    await cluster?.stop();
    await Promise.all(servers.map((server) => server.stop()));
  });

  test("each of them is killed under load, and no request fails", async () => {
    const project = await ada.api.must("POST", "/projects", { name: "Launch" });
    let running = true;
    const answers = new Map<string, number>();
    const worker = async (n: number) => {
      for (let at = 0; running; at++) {
        const answer =
          (at + n) % 2 === 0
            ? await ada.api.get(`/projects/${project.id}`)
            : await ada.api.post(`/projects/${project.id}/tasks`, { title: `${n} ${at}` });
        const key = `${answer.status} ${answer.body.type ?? ""}`;
        answers.set(key, (answers.get(key) ?? 0) + 1);
      }
    };
    const workers = [0, 1, 2, 3].map(worker);
    for (const server of servers) {
      const before = answers.get("201 ") ?? 0;
      await server.kill();
      expect(await until(() => (answers.get("201 ") ?? 0) > before + 20, 15_000)).toBe(true);
      await server.restart();
      await until(() => false, 1000);
    }
    running = false;
    await Promise.all(workers);
    const { total } = await ada.api.must("GET", `/projects/${project.id}/tasks?limit=1`);
    expect([...answers.keys()].sort()).toEqual(["200 ", "201 "]);
    expect(total).toBe(answers.get("201 "));
  });
});

test("a node does not wait for long for a NATS server that takes connections and says nothing", async () => {
  const held: Socket[] = [];
  const silent = createServer((socket) => held.push(socket.on("error", () => {}))).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const nats = await startNats();
  try {
    const { transporter } = brokerOptions(testConfig("", { NATS_URL: nats.url }), false);
    const { opts: options } = transporter as unknown as { opts: ConnectionOptions };
    const began = calmNow();
    const servers = [`127.0.0.1:${(silent.address() as AddressInfo).port}`, ...(options.servers as string[])];
    const client = await connect({ ...options, servers, noRandomize: true });
    expect(held.length).toBeGreaterThan(0);
    expect(calmNow() - began).toBeLessThan(5000);
    await client.close();
  } finally {
    await nats.stop();
    held.forEach((socket) => socket.destroy());
    silent.close();
  }
});

describe("a Redis that Sentinels watch", () => {
  let master: LocalServer;
  let replica: LocalServer;
  let sentinel: LocalServer;
  const clients: Redis[] = [];
  beforeAll(async () => {
    master = await startRedis();
    replica = await startRedis({ replicaOf: master });
    sentinel = await startSentinel(master);
    // The Sentinel asks the master for its replicas every ten seconds.
    const asked = new Redis({ port: sentinel.port });
    clients.push(asked);
    expect(
      await until(
        async () => ((await asked.call("SENTINEL", "REPLICAS", "taskwire")) as unknown[]).length === 1,
        15_000,
      ),
    ).toBe(true);
  });
  afterAll(async () => {
    clients.forEach((client) => client.disconnect());
    // A Sentinel has nothing to keep; first of all, for it would fail the others over.
    await sentinel?.kill();
    await Promise.all([master, replica].map((server) => server?.stop()));
  });

  test("is found, and found again when the master is killed", async () => {
    const outage = new RedisOutage(log, { away: "", back: "" });
    const client = connectRedis(`${sentinel.url}/taskwire`, outage);
    clients.push(client);
    const write = () => client.set("key", "value").catch(() => "");
    expect(await until(async () => (await write()) === "OK", 5000)).toBe(true);
    await master.kill();
    expect(await until(async () => (await write()) === "OK", 15_000)).toBe(true);
    expect(await client.config("GET", "port")).toEqual(["port", String(replica.port)]);
  });
});

test("a command's time is what Redis takes, not what this process stood still", async () => {
  const redis = await startRedis();
  const client = connectRedis(redis.url, new RedisOutage(log, { away: "", back: "" }), {
    commandTimeout: 50,
  });
  try {
    await once(client, "ready");
    const asked = client.get("key");
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 150);
    expect(await asked).toBeNull();
    redis.pause();
    await expect(client.get("key")).rejects.toThrow("Command timed out");
  } finally {
    client.disconnect();
    redis.resume();
    await redis.stop();
  }
});

test("a client whose master became a replica connects again, by its name", async () => {
  const redis = await startRedis();
  const other = new Redis(redis.url);
  const client = connectRedis(redis.url, new RedisOutage(log, { away: "", back: "" }));
  try {
    const write = () => client.set("key", "value").catch(() => "");
    expect(await until(async () => (await write()) === "OK", 5000)).toBe(true);
    let connections = 0;
    client.on("ready", () => (connections += 1));
    await other.replicaof("127.0.0.1", 1);
    await expect(client.set("key", "value")).rejects.toThrow(/READONLY/);
    await other.replicaof("NO", "ONE");
    expect(await until(async () => (await write()) === "OK", 5000)).toBe(true);
    expect(connections).toBeGreaterThan(0);
  } finally {
    client.disconnect();
    other.disconnect();
    await redis.stop();
  }
});
