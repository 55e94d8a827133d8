import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { until } from "../../local/until.ts";
import { PASSWORD, type Person } from "../support/api.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { TestSocket } from "../support/socket.ts";

let cluster: TestCluster;
let ada: Person;

beforeAll(async () => {
  cluster = await startTestCluster();
  ada = await cluster.api.person("ada");
}, 90_000);
afterAll(() => cluster?.stop(), 30_000);

const session = async () => {
  const { access_token } = await cluster.api.must("POST", "/auth/login", {
    login: ada.username,
    password: PASSWORD,
  });
  return access_token as string;
};
const sockets = (token: string) =>
  Promise.all(cluster.notifiers.map((url) => TestSocket.connect(url, { token })));
const closed = (all: TestSocket[]) => () => all.every(({ socket }) => socket.disconnected);

test("logout at one gateway is refused at another one within a second", async () => {
  const second = await cluster.addGateway("gateway-2");
  async function takes(): Promise<number> {
    const token = await session();
    expect((await second.as(token).get("/auth/me")).status).toBe(200);
    const began = performance.now();
    await cluster.api.as(token).must("POST", "/auth/logout");
    expect(await until(async () => (await second.as(token).get("/auth/me")).status === 401, 5000)).toBe(true);
    return performance.now() - began;
  }
  // The first time the auth service may not have heard of the new gateway yet, which then finds out by its poll.
  await takes();
  expect(await takes()).toBeLessThan(1000);
}, 20_000);

test("logout at the gateway closes the session's sockets on both notifiers within a second", async () => {
  const token = await session();
  const open = await sockets(token);
  const began = performance.now();
  await cluster.api.as(token).must("POST", "/auth/logout");
  expect(await until(closed(open), 5000)).toBe(true);
  expect(performance.now() - began).toBeLessThan(1000);
  expect((await cluster.api.as(token).get("/auth/me")).status).toBe(401);
  for (const url of cluster.notifiers)
    expect(await TestSocket.refused(url, { token })).toMatchObject({ status: 401 });
});

test("a session that ends while NATS is away is closed on both notifiers within 5 s", async () => {
  const token = await session();
  const open = await sockets(token);
  await cluster.nats.kill();
  try {
    const { default: pg } = await import("pg");
    const client = new pg.Client({ connectionString: cluster.databaseUrl });
    await client.connect();
    await client.query("UPDATE auth.sessions SET revoked_at = now() WHERE user_id = $1", [ada.id]);
    await client.end();
    const began = performance.now();
    expect(await until(closed(open), 10_000)).toBe(true);
    expect(performance.now() - began).toBeLessThan(5000);
  } finally {
    await cluster.nats.restart();
  }
  const refused = async () => (await cluster.api.as(token).get("/auth/me")).status === 401;
  expect(await until(refused, 5000)).toBe(true);
}, 40_000);
