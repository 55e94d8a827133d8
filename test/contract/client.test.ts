/** The SDK (client/) against the whole system. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import {
  type Client,
  type ClientOptions,
  type ClientStorage,
  CODES,
  createClient,
  memoryStorage,
  ProblemError,
  type ProjectStore,
  type TaskwireEvent,
  unwrap,
} from "../../client/src/index.ts";
import { createTokens } from "../../core/tokens.ts";
import { until } from "../../local/until.ts";
import { PASSWORD, type Person } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { serverActions } from "../support/server-actions.ts";

let node: TestNode;
const clients: Client[] = [];

beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node?.stop());
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
});

/** What lies between a client and the server. */
class Network {
  isUp = true;
  losesAnswers = false;
  readonly requests: string[] = [];

  fetch = async (request: Request): Promise<Response> => {
    this.requests.push(`${request.method} ${new URL(request.url).pathname.replace("/api/v1", "")}`);
    if (!this.isUp) throw new TypeError("fetch failed");
    // No pooled connections: they would outlive the test.
    request.headers.set("Connection", "close");
    const answer = await fetch(request);
    if (!this.losesAnswers) return answer;
    await answer.arrayBuffer();
    throw new TypeError("fetch failed");
  };

  times = (request: string): number => this.requests.filter((other) => other === request).length;
}

function connect(options: ClientOptions = {}, network = new Network()): Client {
  const client = createClient({ url: node.url, fetch: network.fetch, ...options });
  clients.push(client);
  return client;
}

/** A client of a user who has just logged in. */
async function loggedIn({ username }: Person, storage?: ClientStorage, network?: Network): Promise<Client> {
  const client = connect({ ...(storage && { storage }) }, network);
  await client.login({ login: username, password: PASSWORD });
  return client;
}

/** The token that is kept is one that the server refuses. */
async function spoil(storage: ClientStorage): Promise<void> {
  const key = (await storage.keys("")).find((name) => name.endsWith("session")) as string;
  const session = JSON.parse((await storage.get(key)) as string);
  await storage.set(key, JSON.stringify({ ...session, access_token: "nonsense" }));
}

/** Two members of a project. */
async function team(): Promise<{ ada: Person; ben: Person; project: string }> {
  const [ada, ben] = await Promise.all([node.api.person("ada"), node.api.person("ben")]);
  const { id: project } = await ada.api.must("POST", "/projects", { name: "Launch" });
  await ada.api.must("POST", `/projects/${project}/members`, { user_id: ben.id, role: "manager" });
  return { ada, ben, project };
}

async function eventually(condition: () => boolean | Promise<boolean>): Promise<void> {
  expect(await until(condition, 10_000)).toBe(true);
}

const titles = (store: ProjectStore): (string | null)[] =>
  store.getSnapshot().columns.pending.map(({ title }) => title);

/** The store has what REST has. */
async function expectAsRest(store: ProjectStore, { api }: Person): Promise<void> {
  const { items } = await api.must("GET", `/projects/${store.id}/tasks?limit=100&sort=position`);
  await eventually(() => store.getSnapshot().status === "live" && store.getSnapshot().waiting === 0);
  const { tasks, columns } = store.getSnapshot();
  expect([...tasks.values()].sort((a, b) => (a.id < b.id ? -1 : 1))).toEqual(
    [...items].sort((a, b) => (a.id < b.id ? -1 : 1)),
  );
  expect(columns.pending).toEqual(items.filter(({ status }: { status: string }) => status === "pending"));
}

describe("login and requests", () => {
  test("a client logs in, asks by the document's types, and is told problems as errors", async () => {
    const { ada, project } = await team();
    const client = await loggedIn(ada);
    expect(client.user?.username).toBe(ada.username);
    const { items } = await unwrap(client.rest.GET("/projects"));
    expect(items.map(({ id }) => id)).toEqual([project]);
    const refused = unwrap(
      client.rest.PATCH("/projects/{project}", { params: { path: { project } }, body: { name: "" } }),
    );
    await expect(refused).rejects.toMatchObject({ status: 422, code: "validation-failed" });
    await expect(refused).rejects.toBeInstanceOf(ProblemError);
  });

  test("what can't be an address or a project's id is said at once", () => {
    expect(() => createClient({ url: "127.0.0.1:3000" })).toThrow(/url is "127.0.0.1:3000"/);
    expect(() => createClient()).toThrow(TypeError);
    expect(() => connect().project("launch")).toThrow(/"launch" is not a project's id/);
  });

  test("a refused token is replaced once for all requests, and the login survives a reload", async () => {
    const { ada } = await team();
    const [storage, network] = [memoryStorage(), new Network()];
    const client = await loggedIn(ada, storage, network);
    await spoil(storage);

    const again = connect({ storage }, network);
    expect((await again.restore())?.id).toBe(ada.id);
    await Promise.all(
      ["/auth/me", "/projects", "/categories"].map((path) => unwrap(again.rest.GET(path as "/projects"))),
    );
    expect(network.times("POST /auth/refresh")).toBe(1);
    await again.logout();
    expect(await storage.keys("")).toEqual([]);
    // The session has ended for the first client as well.
    await expect(unwrap(client.rest.GET("/projects"))).rejects.toMatchObject({ status: 401 });
    expect(client.user).toBeNull();
  });

  test("a keyed POST whose answer was lost is sent again, and happens once", async () => {
    const { ada, project } = await team();
    const network = new Network();
    const client = await loggedIn(ada, undefined, network);
    network.losesAnswers = true;
    const sent = unwrap(
      client.rest.POST("/projects/{project}/tasks", {
        params: { path: { project } },
        body: { title: "Once" },
      }),
    );
    await eventually(() => network.times(`POST /projects/${project}/tasks`) === 1);
    network.losesAnswers = false;
    expect((await sent).title).toBe("Once");
    expect((await ada.api.get(`/projects/${project}/tasks`)).body.total).toBe(1);
  });
});

describe("connection", () => {
  test("every event comes once and in order, over lost connections and reloads", async () => {
    const { ada, project } = await team();
    const storage = memoryStorage();
    const actions = serverActions(node.broker);
    const heard: string[] = [];
    const listen = (client: Client): void => {
      client.on("task_created", ({ data }) => heard.push(data.task.title as string), { project });
      client.connect();
    };
    const add = (title: string) => ada.api.must("POST", `/projects/${project}/tasks`, { title });
    const first = await loggedIn(ada, storage);
    listen(first);
    await eventually(() => first.connection.status === "ready");
    await add("One");
    await eventually(() => heard.length === 1);
    actions.drop({ user: ada.id } as never);
    await add("Two");
    await eventually(() => heard.length === 2);
    await first.close();
    await add("Three");

    listen(connect({ storage }));
    await add("Four");
    await eventually(() => heard.length === 4);
    expect(heard).toEqual(["One", "Two", "Three", "Four"]);
  });

  test("a token that runs out is replaced; a session that ends is told, and not tried again", async () => {
    const { ada } = await team();
    const network = new Network();
    const client = await loggedIn(ada, undefined, network);
    const codes: number[] = [];
    client.on("connection", ({ code }) => codes.push(code));
    client.connect();
    await eventually(() => client.connection.status === "ready");
    serverActions(node.broker).expire({ user: ada.id } as never);
    await eventually(() => codes.includes(CODES.expired) && client.connection.status === "ready");
    expect(network.times("POST /auth/refresh")).toBe(1);

    await ada.api.must("POST", "/auth/logout-all");
    await eventually(() => client.connection.status === "disconnected");
    expect(client.connection.code).toBe(CODES.login);
    expect(client.user).toBeNull();
  });

  test("an open socket is given a new token before its own runs out", async () => {
    const { ada } = await team();
    const ends: number[] = [];
    const network = new Network();
    const login = await node.api.must("POST", "/auth/login", { login: ada.username, password: PASSWORD });
    // The client believes that the token has three seconds, two of which it uses.
    const session = { ...login, expires_in: 3, expires_at: Date.now() + 1500 };
    const client = connect({ session }, network);
    client.on("connection", ({ status, code }) => status === "connecting" && ends.push(code));
    client.connect();
    await eventually(() => network.times("POST /auth/refresh") === 1);
    await eventually(() => client.connection.status === "ready");
    expect(ends.filter((code) => code !== CODES.connect)).toEqual([]);
  });

  test("where the application gives the tokens an open socket gets another one before its own runs out", async () => {
    const { ada, project } = await team();
    const { access_token } = await node.api.must("POST", "/auth/login", {
      login: ada.username,
      password: PASSWORD,
    });
    const { actor } = createTokens(node.config).verify(access_token);
    const short = createTokens({ ...node.config, ACCESS_TOKEN_TTL: 4 });
    const [refused, ends]: [(string | null)[], number[]] = [[], []];
    const client = connect({
      getToken: async (token) => {
        refused.push(token);
        const given = short.sign(actor).token;
        ends.push(short.verify(given).expiresAt);
        return given;
      },
    });
    const [heard, codes]: [string[], number[]] = [[], []];
    client.on("task_created", ({ data }) => heard.push(data.task.title as string));
    client.on("connection", ({ code }) => codes.push(code));
    client.connect();
    await eventually(() => client.connection.status === "ready");
    const add = (title: string) => ada.api.must("POST", `/projects/${project}/tasks`, { title });
    await add("1");
    await eventually(() => refused.length === 2);
    await add("2");
    await eventually(() => Date.now() > (ends[0] as number));
    await add("3");
    await eventually(() => heard.length === 3);
    expect(heard).toEqual(["1", "2", "3"]);
    expect(refused[0]).toBeNull();
    expect(new Set(codes)).toEqual(new Set([CODES.connect]));
  });

  test("clients that share a storage without Web Locks refresh one token, and all stay logged in", async () => {
    const { ada } = await team();
    const storage = memoryStorage();
    await loggedIn(ada, storage);
    await spoil(storage);
    const tabs = [connect({ storage }), connect({ storage })];
    await Promise.all(tabs.map((tab) => unwrap(tab.rest.GET("/projects"))));
    for (const tab of tabs) expect(tab.user?.id).toBe(ada.id);
    // What is kept is good for the next page.
    await unwrap(connect({ storage }).rest.GET("/projects"));
  });

  test("a personal token needs no login, and one that is refused is not tried again", async () => {
    const { ada, project } = await team();
    const { token } = await ada.api.must("POST", "/auth/tokens", {
      name: "board",
      scope: "write",
      project_ids: [project],
    });
    const client = connect({ token });
    await client.project(project).open();
    const refused = connect({ token: "twp_nonsense" });
    refused.connect();
    await eventually(() => refused.connection.code === CODES.login);
  });
});

test("me() has one's own projects with one's role, as they come, change and go", async () => {
  const { ada, ben, project } = await team();
  const storage = memoryStorage();
  const client = await loggedIn(ben, storage);
  const me = client.me();
  const listed = async (...lines: string[]): Promise<void> => {
    const now = (): string[] => me.getSnapshot().projects.map(({ name, role }) => `${name}: ${role}`);
    await until(() => String(now()) === String(lines) && me.getSnapshot().status === "live", 5000);
    expect(now()).toEqual(lines);
  };
  expect((await me.open()).user?.id).toBe(ben.id);
  await listed("Launch: manager");
  const member = `/projects/${project}/members/${ben.id}`;
  await ada.api.must("PATCH", member, { role: "viewer" });
  await listed("Launch: viewer");
  await ada.api.must("PATCH", `/projects/${project}`, { name: "Liftoff" });
  await listed("Liftoff: viewer");
  const [liftoff] = me.getSnapshot().projects;
  const { id: next } = await ada.api.must("POST", "/projects", { name: "Next" });
  await ada.api.must("POST", `/projects/${next}/members`, { user_id: ben.id, role: "member" });
  await ben.api.must("POST", "/projects", { name: "Mine" });
  await listed("Liftoff: viewer", "Mine: owner", "Next: member");
  // What did not change is the same object.
  expect(me.getSnapshot().projects[0]).toBe(liftoff);
  await ada.api.must("DELETE", member);
  await listed("Mine: owner", "Next: member");
  await ada.api.must("DELETE", `/projects/${next}`);
  await listed("Mine: owner");
  await ada.api.must("POST", `/projects/${next}/restore`);
  await listed("Mine: owner", "Next: member");

  // After a reload the list is there before the server has answered.
  await client.close();
  const network = new Network();
  network.isUp = false;
  const after = connect({ storage }, network).me();
  after.subscribe(() => undefined);
  await eventually(() => after.getSnapshot().projects.length === 2);
  expect(after.getSnapshot().status).toBe("stale");
  // What a page holds after the logout shows nothing to the next user.
  await ben.api.must("POST", "/auth/logout-all");
  await eventually(() => after.getSnapshot().projects.length === 0);
});

describe("a live project", () => {
  test("two stores show each other's changes, people and comments, and are what REST says", async () => {
    const { ada, ben, project } = await team();
    const [mine, theirs] = await Promise.all([loggedIn(ada), loggedIn(ben)]);
    const [left, right] = [mine.project(project), theirs.project(project)];
    await Promise.all([left.open(), right.open()]);
    expect(mine.project(project)).toBe(left);

    const one = left.create({ title: "One" });
    // It shows at once, and under its temporary id until the server has given it one.
    expect(titles(left)).toEqual(["One"]);
    const two = await left.create({ title: "Two" }).done;
    const id = await one.done;
    expect(left.realId(one.id)).toBe(id);
    await eventually(() => titles(right).join() === "One,Two");
    right.move(two, { before: id });
    expect(titles(right)).toEqual(["Two", "One"]);
    await right.comment(id, "Good").done;
    await right.assign(id, ada.id).done;
    await eventually(() => left.getSnapshot().comments.get(id)?.[0]?.body === "Good");
    await eventually(() => left.getSnapshot().tasks.get(id)?.assigned_to === ada.id);
    await eventually(() => titles(left).join() === "Two,One");
    await eventually(() => left.getSnapshot().members.get(ben.id)?.username === ben.username);
    await right.transition(two, "in_progress").done;
    await right.delete(id).done;
    await eventually(() => left.getSnapshot().columns.in_progress[0]?.id === two);
    for (const [store, person] of [
      [left, ada],
      [right, ben],
    ] as const)
      await expectAsRest(store, person);
    // Nothing happened since: the snapshot is the same object.
    const snapshot = left.getSnapshot();
    expect(left.getSnapshot()).toBe(snapshot);

    await ada.api.must("POST", `/tasks/${id}/restore`);
    await eventually(() => right.getSnapshot().comments.get(id)?.[0]?.body === "Good");
    await ada.api.must("DELETE", `/projects/${project}/members/${ben.id}`);
    await eventually(() => right.getSnapshot().status === "closed");
    expect(right.getSnapshot()).toMatchObject({ problem: { status: 404 }, project: null });
    expect(right.getSnapshot().tasks.size).toBe(0);
  });

  test("a store reads the state again where the log was rewritten or forgotten", async () => {
    const { ada, project } = await team();
    const actions = serverActions(node.broker);
    const stream = `project:${project}`;
    const client = await loggedIn(ada);
    const store = client.project(project);
    await store.open();
    const resets: unknown[] = [];
    client.on("reset", (reset) => resets.push(reset), { project });
    for (const title of ["One", "Two", "Three"])
      await ada.api.must("POST", `/projects/${project}/tasks`, { title });
    await eventually(() => titles(store).length === 3);
    await actions.restore({ stream, seq: 3 } as never);
    await eventually(() => resets.length === 1);
    await expectAsRest(store, ada);

    client.disconnect();
    for (const title of ["Four", "Five"]) await ada.api.must("POST", `/projects/${project}/tasks`, { title });
    await actions.forget_before({ stream, seq: 5 } as never);
    expect(store.getSnapshot().status).toBe("stale");
    client.connect();
    await eventually(() => titles(store).length === 5);
    await expectAsRest(store, ada);
    expect(resets).toHaveLength(2);
  });

  test("changes made without a network survive a reload, and are made once", async () => {
    const { ada, project } = await team();
    const [storage, network] = [memoryStorage(), new Network()];
    const before = await loggedIn(ada, storage, network);
    const store = before.project(project);
    await store.open();
    network.losesAnswers = true;
    store.create({ title: "Sent" });
    await eventually(() => network.times(`POST /projects/${project}/tasks`) > 0);
    network.isUp = false;
    const made = store.create({ title: "Draft" });
    store.update(made.id, { title: "Final" });
    store.comment(made.id, "Written on a train");
    // The answer was lost; the event says that the first one was made.
    await eventually(() => store.getSnapshot().waiting === 3);
    await before.close();

    const after = connect({ storage }).project(project);
    after.subscribe(() => undefined);
    // What was known, and what waits, is there before the server is.
    await eventually(() => titles(after).includes("Final"));
    await after.open();
    await eventually(() => after.getSnapshot().waiting === 0);
    await expectAsRest(after, ada);
    expect(titles(after).sort()).toEqual(["Final", "Sent"]);
    expect([...after.getSnapshot().comments.values()].flat().map(({ body }) => body)).toEqual([
      "Written on a train",
    ]);
  });

  test("of two edits of one field the later one is a conflict; edits of different fields are not", async () => {
    const { ada, ben, project } = await team();
    const network = new Network();
    const client = await loggedIn(ada, undefined, network);
    const store = client.project(project);
    await store.open();
    const task = await store.create({ title: "Plan" }).done;
    network.isUp = false;
    const title = store.update(task, { title: "Ada's" });
    const text = store.update(task, { description: "Text" });
    await ben.api.must("PATCH", `/tasks/${task}`, { title: "Ben's" });
    network.isUp = true;
    client.connect();
    await expect(title.done).rejects.toMatchObject({ status: 412 });
    await text.done;
    // Rolled back, with what the server has; the user may insist.
    await eventually(() => store.getSnapshot().tasks.get(task)?.title === "Ben's");
    const [conflict] = store.getSnapshot().changes;
    expect(conflict).toMatchObject({ id: title.change, state: "conflict", theirs: { title: "Ben's" } });
    expect(store.getSnapshot().tasks.get(task)?.description).toBe("Text");
    store.retry(title.change);
    await eventually(() => store.getSnapshot().changes.length === 0);
    await expectAsRest(store, ada);
    expect(store.getSnapshot().tasks.get(task)?.title).toBe("Ada's");
    // A transition is strict, and a move silently undoes nobody's: who is too late is told so, and may let it go.
    network.isUp = false;
    const claim = store.transition(task, "in_progress");
    const { id: other } = await ben.api.must("POST", `/projects/${project}/tasks`, { title: "Other" });
    await eventually(() => store.getSnapshot().tasks.has(other));
    const move = store.move(other, { status: "in_progress" });
    await ben.api.must("POST", `/tasks/${task}/transitions`, { to: "in_progress" });
    await ben.api.must("POST", `/tasks/${other}/transitions`, { to: "completed" });
    network.isUp = true;
    client.connect();
    for (const late of [claim, move]) {
      await expect(late.done).rejects.toMatchObject({ status: 412 });
      expect(store.getSnapshot().changes[0]).toMatchObject({ id: late.change, state: "conflict" });
      store.discard(late.change);
    }
    expect(store.getSnapshot().changes).toEqual([]);
    const illegal = store.move(other, { status: "pending" });
    await expect(illegal.done).rejects.toMatchObject({ code: "illegal-transition" });
    expect(store.getSnapshot().changes).toMatchObject([{ id: illegal.change, state: "failed" }]);
  });

  test("what is made at once, before the state has come, stays; after a logout a held store is empty", async () => {
    const { ada, ben, project } = await team();
    const client = await loggedIn(ada);
    const store = client.project(project);
    const sizes = new Set<number>();
    const { done } = store.create({ title: "First" });
    store.subscribe(() => sizes.add(store.getSnapshot().tasks.size));
    await done;
    expect(store.getSnapshot().tasks.size).toBe(1);
    await expectAsRest(store, ada);
    expect([...sizes]).toEqual([1]);

    await client.logout();
    const isEmpty = (): void => {
      expect(store.getSnapshot()).toMatchObject({ status: "closed", project: null, changes: [] });
      expect(store.getSnapshot().tasks.size).toBe(0);
    };
    isEmpty();
    await client.login({ login: ben.username, password: PASSWORD });
    expect((await client.project(project).open()).tasks.size).toBe(1);
    isEmpty();
  });

  test("listeners that throw stop nobody else, and are reported", async () => {
    const { ada, project } = await team();
    const errors: unknown[] = [];
    const client = connect({ onError: (error) => errors.push(error) });
    await client.login({ login: ada.username, password: PASSWORD });
    const heard: TaskwireEvent[] = [];
    client.on("event", () => {
      throw new Error("mine");
    });
    client.on("event", (event) => heard.push(event));
    client.connect();
    await eventually(() => client.connection.status === "ready");
    await ada.api.must("POST", `/projects/${project}/tasks`, { title: "One" });
    await eventually(() => heard.length === 1);
    expect(errors).toEqual([new Error("mine")]);
  });
});
