import { afterAll, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { until } from "../../local/until.ts";
import type { Statement } from "../../mixins/database.ts";
import { endSessions } from "../../services/users/account-cleanup.ts";
import { PASSWORD, type Person } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { startTestCluster, type TestCluster } from "../support/cluster.ts";
import { TestSocket } from "../support/socket.ts";

let cluster: TestCluster;
let ada: Person;

beforeAll(async () => {
  cluster = await startTestCluster();
  ada = await cluster.api.person("ada");
});
afterAll(() => cluster?.stop());

const session = async () => {
  const { access_token } = await cluster.api.must("POST", "/auth/login", {
    login: ada.username,
    password: PASSWORD,
  });
  return access_token as string;
};
const withClient = async <Result>(work: (client: pg.Client) => Promise<Result>): Promise<Result> => {
  const client = new pg.Client({ connectionString: cluster.databaseUrl });
  await client.connect();
  return work(client).finally(() => client.end());
};
const sockets = (token: string) =>
  Promise.all(cluster.notifiers.map((url) => TestSocket.connect(url, { token })));
const closed = (all: TestSocket[]) => () => all.every(({ socket }) => socket.disconnected);

test("logout at one gateway is refused at another one within a second", async () => {
  const second = await cluster.addGateway("gateway-2");
  async function takes(): Promise<number> {
    const token = await session();
    expect((await second.as(token).get("/auth/me")).status).toBe(200);
    const began = calmNow();
    await cluster.api.as(token).must("POST", "/auth/logout");
    expect(await until(async () => (await second.as(token).get("/auth/me")).status === 401, 5000)).toBe(true);
    return calmNow() - began;
  }
  // The first time no hint may reach the new gateway yet, which then finds out by its poll.
  await takes();
  expect(await takes()).toBeLessThan(1000);
});

test("logout at the gateway closes the session's sockets on both notifiers within a second", async () => {
  const token = await session();
  const open = await sockets(token);
  const began = calmNow();
  await cluster.api.as(token).must("POST", "/auth/logout");
  expect(await until(closed(open), 5000)).toBe(true);
  expect(calmNow() - began).toBeLessThan(1000);
  expect((await cluster.api.as(token).get("/auth/me")).status).toBe(401);
  for (const url of cluster.notifiers)
    expect(await TestSocket.refused(url, { token })).toMatchObject({ status: 401 });
});

test("kill -9 of auth: who is deactivated meanwhile is out everywhere, and stays so", async () => {
  const [root, ben] = await Promise.all(["root", "ben"].map((name) => cluster.api.person(name)));
  await withClient((client) =>
    client.query("UPDATE users.users SET role = 'admin' WHERE id = $1", [root!.id]),
  );
  const { access_token } = await cluster.api.must("POST", "/auth/login", {
    login: root!.username,
    password: PASSWORD,
  });
  const admin = cluster.api.as(access_token);
  const open = await sockets(ben!.token);
  await cluster.kill("auth");
  const change = () => admin.patch(`/users/${ben!.id}`, { is_active: false });
  expect((await change()).status).toBe(200);
  const began = calmNow();
  expect(await until(closed(open), 5000)).toBe(true);
  expect(calmNow() - began).toBeLessThan(1000);
  expect((await ben!.api.get("/tasks")).status).toBe(401);
  await cluster.revive("auth");
  const refresh = () => cluster.api.post("/auth/refresh", { refresh_token: ben!.refreshToken });
  expect(await until(async () => (await refresh()).status === 401, 5000)).toBe(true);
});

test("kill -9 of users in the middle of an erasure: the rest is done within 5 s of its return, and refreshing goes on", async () => {
  const [ben, eve] = await Promise.all(["ben", "eve"].map((name) => cluster.api.person(name)));
  const owner = cluster.api.as(await session());
  const { id } = await owner.must("POST", "/projects", { name: "Left" });
  await owner.must("POST", `/projects/${id}/members`, { user_id: ben!.id, role: "member" });
  await owner.must("POST", `/projects/${id}/tasks`, { title: "Theirs", assigned_to: ben!.id });
  const open = await sockets(ben!.token);
  const count = async (text: string) =>
    withClient(async (client) =>
      Number((await client.query(`SELECT count(*) ${text}`, [ben!.id])).rows[0].count),
    );

  // What follows the commit hangs, as long as no node takes tasks away.
  const tasks = ["tasks-1", "tasks-2"];
  tasks.forEach((name) => cluster.group.kill(name, "SIGSTOP"));
  const erasing = ben!.api.delete(`/users/${ben!.id}`).catch(() => null);
  const erased = async () => (await count("FROM users.users WHERE id = $1 AND erased_at IS NOT NULL")) === 1;
  expect(await until(erased, 5000)).toBe(true);
  await cluster.kill("users");
  tasks.forEach((name) => cluster.group.kill(name, "SIGCONT"));
  expect(await until(closed(open), 5000)).toBe(true);
  await erasing;

  const refresh = ({ refreshToken }: Person) =>
    cluster.api.post("/auth/refresh", { refresh_token: refreshToken });
  expect((await refresh(eve!)).status).toBe(200);
  expect((await refresh(ben!)).status).toBe(401);
  await cluster.revive("users");
  const began = calmNow();
  const left = async () =>
    (await count("FROM tasks.tasks WHERE assigned_to = $1")) +
    (await count("FROM projects.members WHERE user_id = $1"));
  expect(await until(async () => (await left()) === 0, 10_000)).toBe(true);
  expect(calmNow() - began).toBeLessThan(5000);
  expect((await ben!.api.get("/tasks")).status).toBe(401);
});

test("a session that ends while NATS is away is closed on both notifiers within 5 s", async () => {
  const token = await session();
  const open = await sockets(token);
  const ben = await cluster.api.person("ben");
  const others = await sockets(ben.token);
  await cluster.nats.kill();
  try {
    await withClient(async (client) => {
      await client.query("UPDATE auth.sessions SET revoked_at = now() WHERE user_id = $1", [ada.id]);
      // A commit whose node dies with it, and with its hint.
      const query = async <Row>({ text, values }: Statement) =>
        (await client.query(text, values)).rows as Row[];
      await endSessions({ query }, ben.id);
    });
    const began = calmNow();
    expect(await until(closed([...open, ...others]), 10_000)).toBe(true);
    expect(calmNow() - began).toBeLessThan(5000);
  } finally {
    await cluster.nats.restart();
  }
  for (const one of [token, ben.token]) {
    const refused = async () => (await cluster.api.as(one).get("/auth/me")).status === 401;
    expect(await until(refused, 15_000)).toBe(true);
  }
});

test("NATS dies while an account is changed in each of the four ways: what was committed holds everywhere, and the rest is done", async () => {
  // A call that was sent while a node came back from the outage before is lost, and ends by its timeout.
  const login = (person: Person, password = PASSWORD) =>
    cluster.api.post("/auth/login", { login: person.username, password });
  expect(await until(async () => (await login(ada)).status === 200, 25_000)).toBe(true);
  const people = await Promise.all(
    ["root", "demoted", "deactivated", "erased", "changed"].map((name) => cluster.api.person(name)),
  );
  const [root, demoted, deactivated, erased, changed] = people as [Person, Person, Person, Person, Person];
  await withClient((client) =>
    client.query("UPDATE users.users SET role = 'admin' WHERE id = $1", [root.id]),
  );
  const admin = cluster.api.as((await login(root)).body.access_token as string);
  const { body: other } = await login(changed);
  const owner = await cluster.api.person("owner");
  const { id } = await owner.api.must("POST", "/projects", { name: "Left" });
  await owner.api.must("POST", `/projects/${id}/members`, { user_id: erased.id, role: "member" });
  await owner.api.must("POST", `/projects/${id}/tasks`, { title: "Theirs", assigned_to: erased.id });
  const ended = [demoted.token, deactivated.token, erased.token, other.access_token as string];
  const open = (await Promise.all(ended.map(sockets))).flat();
  const kept = await sockets(changed.token);

  // All four wait to commit, and do when the broker is gone: neither their answers nor hints can leave.
  const requests = await withClient(async (client) => {
    await client.query("BEGIN; LOCK TABLE users.endings IN SHARE MODE");
    const waiting = () =>
      withClient(async (watch) => {
        const text = `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query NOT LIKE 'UPDATE users.endings%'`;
        return (await watch.query(text)).rowCount;
      });
    const erasing = erased.api.delete(`/users/${erased.id}`);
    expect(await until(async () => (await waiting()) === 1, 5000)).toBe(true);
    const others = [
      admin.patch(`/users/${demoted.id}`, { role: "manager" }),
      admin.patch(`/users/${deactivated.id}`, { is_active: false }),
      changed.api.post("/auth/password/change", {
        current_password: PASSWORD,
        password: "another correct horse",
      }),
    ];
    expect(await until(async () => (await waiting()) === 4, 5000)).toBe(true);
    await cluster.nats.kill();
    await client.query("ROLLBACK");
    return [erasing, ...others];
  });
  try {
    const began = calmNow();
    expect(await until(closed(open), 10_000)).toBe(true);
    expect(calmNow() - began).toBeLessThan(5000);
    expect(closed(kept)()).toBe(false);
    for (const { status } of await Promise.all(requests)) expect([503, 504]).toContain(status);
  } finally {
    await cluster.nats.restart();
  }

  // Nothing answers while the broker is away; from its first answer on the gateway knows them.
  for (const token of ended) {
    const statuses = new Set<number>();
    const refused = async () => {
      const { status } = await cluster.api.as(token).get("/auth/me");
      statuses.add(status);
      return status === 401;
    };
    expect(await until(refused, 15_000)).toBe(true);
    expect(statuses).not.toContain(200);
  }
  const left = () =>
    withClient(
      async (client) =>
        (
          await client.query(
            `SELECT id FROM tasks.tasks WHERE assigned_to = $1
             UNION ALL SELECT project_id FROM projects.members WHERE user_id = $1`,
            [erased.id],
          )
        ).rowCount,
    );
  expect(await until(async () => (await left()) === 0, 10_000)).toBe(true);
  const refresh = async (refresh_token: string) =>
    (await cluster.api.post("/auth/refresh", { refresh_token })).status;
  for (const token of [demoted, deactivated, erased].map((person) => person.refreshToken))
    expect(await until(async () => (await refresh(token)) === 401, 15_000)).toBe(true);
  expect(await refresh(other.refresh_token as string)).toBe(401);
  expect((await changed.api.get("/auth/me")).status).toBe(200);
  expect((await login(changed, "another correct horse")).body.user.id).toBe(changed.id);
  kept.forEach((socket) => socket.close());
});
