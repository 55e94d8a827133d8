import type { AddressInfo } from "node:net";
import type { Server } from "node:http";
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import pg from "pg";
import { SERVICES } from "../../core/config.ts";
import { until } from "../../local/until.ts";
import { type Database, openDatabase } from "../../mixins/database.ts";
import { startNode } from "../../node.ts";
import {
  completeCleanup,
  type Cleanup,
  endSessions,
  leaseCleanup,
} from "../../services/users/account-cleanup.ts";
import { eraseUser } from "../../services/users/users.commands.ts";
import { Api, PASSWORD, type Person, type Wire } from "../support/api.ts";
import { gateTo } from "../support/gate.ts";
import { startTestNode, type TestNode, testConfig, withoutService } from "../support/node.ts";
import { TestSocket } from "../support/socket.ts";
import { personWithRole } from "../support/cast.ts";
import { expectProblem } from "../support/expectations.ts";

const UNCONDITIONAL = { ifMatch: null, key: null };

let node: TestNode;
let sql: pg.Client;
let db: Database;
let root: Person;
let ada: Person;
const sockets: TestSocket[] = [];

beforeAll(async () => {
  node = await startTestNode();
  sql = new pg.Client({ connectionString: node.config.DATABASE_URL });
  await sql.connect();
  db = openDatabase(node.config, () => {});
  root = await personWithRole(node, sql, "admin");
  ada = await node.api.person("ada");
});
afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));
afterAll(async () => {
  await db?.close();
  await sql?.end();
  await node?.stop();
});

const refresh = ({ refreshToken }: Person) => node.api.post("/auth/refresh", { refresh_token: refreshToken });

/** Somebody with all that ends: a socket, a personal token, a membership, a task. */
async function somebody(name: string, role = "member") {
  const person = await node.api.person(name);
  const { token: pat } = await person.api.must("POST", "/auth/tokens", { name: "CI", scope: "read" });
  const project = await ada.api.must("POST", "/projects", { name });
  await ada.api.must("POST", `/projects/${project.id}/members`, { user_id: person.id, role });
  const path = `/projects/${project.id}/tasks`;
  const task = await ada.api.must("POST", path, { title: "Theirs", assigned_to: person.id });
  const socket = await TestSocket.connect(node.url, { token: person.token });
  sockets.push(socket);
  return { ...person, pat, socket, projectId: project.id as string, taskId: task.id as string };
}
type Somebody = Awaited<ReturnType<typeof somebody>>;

/** Nothing that they had open goes on. */
async function expectEnded(person: Somebody): Promise<void> {
  expectProblem(await person.api.get("/auth/me"), 401, "invalid-token");
  expectProblem(await refresh(person), 401, "invalid-token");
  expectProblem(await node.api.as(person.pat).get("/auth/me"), 401, "invalid-token");
  await person.socket.waitFor(() => person.socket.socket.disconnected, "the socket to be closed");
}

/** Of how many tasks and projects they are, and how much that ended is not tidied yet. */
async function left({ id }: { id: string }): Promise<{ tasks: number; projects: number; open: number }> {
  const { rows } = await sql.query<Wire>(
    `SELECT (SELECT count(*)::int FROM tasks.tasks WHERE assigned_to = $1) AS tasks,
            (SELECT count(*)::int FROM projects.members WHERE user_id = $1) AS projects,
            (SELECT count(*)::int FROM auth.sessions
             WHERE user_id = $1 AND (revoked_at IS NULL OR address IS NOT NULL)) +
            (SELECT count(*)::int FROM auth.personal_tokens WHERE user_id = $1 AND revoked_at IS NULL) +
            (SELECT count(*)::int FROM auth.one_time_tokens WHERE user_id = $1) AS open`,
    [id],
  );
  return rows[0];
}
const NOTHING = { tasks: 0, projects: 0, open: 0 };
const expectAllLeft = async (person: { id: string }): Promise<void> => {
  await until(async () => JSON.stringify(await left(person)) === JSON.stringify(NOTHING), 5000);
  expect(await left(person)).toEqual(NOTHING);
};

test.each<[what: string, change: object]>([
  ["a deactivation", { is_active: false }],
  ["a new role", { role: "manager" }],
])("%s ends all that is open, though every service but users is away", async (_, change) => {
  const person = await somebody("changed");
  await withoutService(node, "auth", () =>
    withoutService(node, "projects", () =>
      withoutService(node, "tasks", async () => {
        expect((await root.api.patch(`/users/${person.id}`, change)).status).toBe(200);
        expectProblem(await person.api.get(`/users/${person.id}`), 401, "invalid-token");
        await person.socket.waitFor(() => person.socket.socket.disconnected, "the socket to be closed");
      }),
    ),
  );
  await expectEnded(person);
  // Who is active again, or has the old role again, does not get back what was open.
  await root.api.must("PATCH", `/users/${person.id}`, { is_active: true, role: "user" });
  await expectEnded(person);
  // Where the sessions were opened is forgotten, of an account that is active too.
  expect(await until(async () => (await left(person)).open === 0, 10_000)).toBe(true);
});

test("an erasure is 204 and final whatever fails after its commit, and the rest is done by itself", async () => {
  const names = ["no-auth", "no-tasks", "no-projects", "dead-node", "closed"] as const;
  const leavers = await Promise.all(names.map((name) => somebody(name)));
  const [noAuth, noTasks, noProjects, deadNode, closed] = leavers as [
    Somebody,
    Somebody,
    Somebody,
    Somebody,
    Somebody,
  ];
  const erase = async ({ id }: Somebody) => expect((await root.api.delete(`/users/${id}`)).status).toBe(204);
  const rootActor = { id: root.id, role: "admin", session: "" } as const;

  await withoutService(node, "auth", () => erase(noAuth));
  await withoutService(node, "tasks", () => erase(noTasks));
  await sql.query(
    `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no'; END $$;
     CREATE TRIGGER fail BEFORE DELETE ON projects.members EXECUTE FUNCTION fail()`,
  );
  await erase(noProjects);
  expect((await left(noProjects)).projects).toBe(1);
  await sql.query("DROP FUNCTION fail CASCADE");
  // What its deactivation left to do is not done yet.
  await root.api.must("PATCH", `/users/${closed.id}`, { is_active: false });
  await erase(closed);
  // Its node dies with the commit: nothing follows, not even a hint.
  await eraseUser(db, rootActor, deadNode.id, UNCONDITIONAL);
  expect(await until(async () => (await deadNode.api.get("/auth/me")).status === 401, 5000)).toBe(true);

  for (const leaver of leavers) {
    await expectEnded(leaver);
    await expectAllLeft(leaver);
    const { rows } = await sql.query<Wire>(
      "SELECT type, actor_id FROM events.log WHERE stream = $1 ORDER BY seq OFFSET 3",
      [`project:${leaver.projectId}`],
    );
    expect(rows.map(({ type }) => type as string).sort()).toEqual(["member_removed", "task_assigned"]);
    expect(rows.find(({ type }) => type === "task_assigned").actor_id).toBe(root.id);
  }
});

test("a task that was given to an erased account by a request of before is taken back, and then nothing is left to do", async () => {
  const leaver = await somebody("late");
  expect((await root.api.delete(`/users/${leaver.id}`)).status).toBe(204);
  await expectAllLeft(leaver);
  await sql.query("UPDATE tasks.tasks SET assigned_to = $2 WHERE id = $1", [leaver.taskId, leaver.id]);
  // Ten seconds pass.
  await sql.query("UPDATE users.endings SET settles_at = now(), due_at = now() WHERE user_id = $1", [
    leaver.id,
  ]);
  await expectAllLeft(leaver);
  const done = async () =>
    (await sql.query("SELECT FROM users.endings WHERE user_id = $1", [leaver.id])).rowCount === 0;
  expect(await until(done, 5000)).toBe(true);
});

test("what an account leaves after a pass over it began is not done by that pass", async () => {
  const { id } = await node.api.person("twice");
  await endSessions(db, id);
  const before = (await leaseCleanup(db, id)) as Cleanup;
  await endSessions(db, id);
  const due = async (): Promise<Wire[]> =>
    (await sql.query<Wire>("SELECT generation, due_at FROM users.endings WHERE user_id = $1", [id])).rows;
  const left = await due();
  expect(left).toMatchObject([{ generation: before.generation + 1 }]);
  for (const settled of [false, true]) await completeCleanup(db, { ...before, settled });
  expect(await due()).toEqual(left);
});

test("a project that an erased account came to own alone gets the longest of its highest members as owner", async () => {
  const leaver = await somebody("owner", "owner");
  const path = `/projects/${leaver.projectId}/members`;
  const [eve, ben] = [await node.api.person("eve"), await node.api.person("ben")];
  for (const [{ id }, role] of [
    [eve, "member"],
    [ben, "manager"],
  ] as const)
    await ada.api.must("POST", path, { user_id: id, role });
  // The other owner goes after the account was found to own nothing alone.
  await ada.api.must("DELETE", `${path}/${ada.id}`);
  expectProblem(await root.api.delete(`/users/${leaver.id}`), 409, "conflict");
  await eraseUser(db, { id: root.id, role: "admin", session: "" }, leaver.id, UNCONDITIONAL);
  await sql.query("UPDATE users.endings SET due_at = now() WHERE user_id = $1", [leaver.id]);
  await expectAllLeft(leaver);
  const { items } = await ben.api.must("GET", path);
  expect(items.map(({ user_id, role }: Wire) => [user_id, role])).toEqual([
    [eve.id, "member"],
    [ben.id, "owner"],
  ]);
  expect((await ben.api.must("GET", `/projects/${leaver.projectId}`)).owner_id).toBe(ben.id);
});

test("a gateway that starts while auth is away serves who is logged in, and refuses who is not any more", async () => {
  const [stays, gone] = [await node.api.person("stays"), await node.api.person("gone")];
  await gone.api.must("POST", "/auth/logout");
  const services = SERVICES.filter((name) => !["auth", "notifier", "mailer", "jobs"].includes(name));
  const broker = await startNode({ ...node.config, SERVICES: services });
  try {
    const { server } = broker.getLocalService("api-gateway") as unknown as { server: Server };
    const api = new Api(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    expect((await api.as(stays.token).get("/tasks")).status).toBe(200);
    expectProblem(await api.as(gone.token).get("/tasks"), 401, "invalid-token");
    // The two nodes have no broker in common: what ends at one, the other reads.
    const body = { current_password: PASSWORD, password: "a new and better one" };
    const { body: other } = await node.api.post("/auth/login", { login: stays.username, password: PASSWORD });
    expect((await node.api.as(other.access_token).post("/auth/password/change", body)).status).toBe(204);
    expect(await until(async () => (await api.as(stays.token).get("/tasks")).status === 401, 5000)).toBe(
      true,
    );
    expect((await api.as(other.access_token).get("/tasks")).status).toBe(200);
  } finally {
    await broker.stop();
  }
});

test("a notifier that never could ask who was logged out lets nobody in; once it could, it does", async () => {
  const gate = await gateTo(node.config.DATABASE_URL);
  const person = await node.api.person("waits");
  const broker = await startNode(
    testConfig(gate.url, { ...node.config, DATABASE_URL: gate.url, SERVICES: ["notifier"] }),
  );
  try {
    const { ownServer } = broker.getLocalService("notifier") as unknown as { ownServer: Server };
    const url = `http://127.0.0.1:${(ownServer.address() as AddressInfo).port}`;
    const early = new TestSocket(url, { token: person.token });
    sockets.push(early);
    const { promise, resolve } = Promise.withResolvers<string>();
    for (const event of ["ready", "disconnect", "connect_error"])
      early.socket.once(event, () => resolve(event));
    expect(await promise).not.toBe("ready");
    expect(early.ready).toEqual({});
    await gate.open();
    const { revocations } = broker.getLocalService("notifier") as unknown as {
      revocations: { has(id: string): boolean | null };
    };
    expect(await until(() => revocations.has("x") === false, 5000)).toBe(true);
    sockets.push(await TestSocket.connect(url, { token: person.token }));
  } finally {
    await broker.stop();
    await gate.close();
  }
});
