/** The SDK behind proxies that block sockets: it goes another way, and comes back to the best one. */
import { afterAll, afterEach, beforeAll, expect, test } from "@jest/globals";
import {
  type Client,
  type ClientOptions,
  CODES,
  createClient,
  type TaskwireEvent,
} from "../../client/src/index.ts";
import { until } from "../../local/until.ts";
import { PASSWORD, type Person } from "../support/api.ts";
import { HttpProxy, type Rule } from "../support/http-proxy.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { serverActions } from "../support/server-actions.ts";

let node: TestNode;
const clients: Client[] = [];
const proxies: HttpProxy[] = [];

beforeAll(async () => {
  node = await startTestNode();
});
afterAll(() => node?.stop());
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  await Promise.all(proxies.splice(0).map((proxy) => proxy.close()));
});

/** A client of a user who is logged in, behind a proxy. */
class Office {
  readonly proxy: HttpProxy;
  readonly client: Client;
  readonly heard: string[] = [];
  readonly codes: number[] = [];
  /** How often the client waited before it tried again. */
  pauses = 0;
  /** The number of the last event that was heard. */
  seq = 0;

  private constructor(proxy: HttpProxy, options: ClientOptions) {
    this.proxy = proxy;
    // No pooled connections: they would outlive the test.
    const send = (request: Request): Promise<Response> => {
      request.headers.set("Connection", "close");
      return fetch(request);
    };
    this.client = createClient({ url: proxy.url, fetch: send, ...options });
    clients.push(this.client);
    this.client.on("connection", ({ code, retryAt }) => {
      this.codes.push(code);
      if (retryAt !== null) this.pauses += 1;
    });
    this.client.on("event", (event: TaskwireEvent) => {
      if (!event.stream.startsWith("project:") || !("task" in event.data)) return;
      this.heard.push(event.data.task.title ?? "");
      this.seq = event.seq;
    });
  }

  static async of({ username }: Person, rules: { upgrades: Rule; polls: Rule }, options: ClientOptions = {}) {
    const proxy = await HttpProxy.listen(node.url);
    proxies.push(proxy);
    Object.assign(proxy, rules);
    const office = new Office(proxy, options);
    await office.client.login({ login: username, password: PASSWORD });
    return office;
  }

  async isReady(transport: Client["transport"], ms = 10_000): Promise<void> {
    const { client } = this;
    await until(() => client.connection.status === "ready" && client.transport === transport, ms);
    expect([client.connection.status, client.transport]).toEqual(["ready", transport]);
  }

  /** The proxy lets everything through, and the client notices. */
  async opens(): Promise<void> {
    this.proxy.block("pass");
    this.client.connect();
    await this.isReady("websocket");
  }

  async hears(...titles: string[]): Promise<void> {
    await until(() => this.heard.length >= titles.length, 5000);
    expect(this.heard).toEqual(titles);
  }
}

async function team(): Promise<{
  ada: Person;
  ben: Person;
  project: string;
  add: (title: string) => Promise<unknown>;
}> {
  const [ada, ben] = await Promise.all([node.api.person("ada"), node.api.person("ben")]);
  const { id: project } = await ada.api.must("POST", "/projects", { name: "Launch" });
  const add = (title: string) => ada.api.must("POST", `/projects/${project}/tasks`, { title });
  return { ada, ben, project, add };
}

test("where a proxy refuses WebSockets the client polls, and changes over when they are let through", async () => {
  const { ada, add } = await team();
  const office = await Office.of(ada, { upgrades: "refuse", polls: "pass" });
  office.client.connect();
  await office.isReady("polling");
  expect(office.pauses).toBe(0);
  await add("One");
  await office.hears("One");
  await office.opens();
  expect(office.codes).toContain(CODES.better);
  await add("Two");
  await office.hears("One", "Two");
});

test("where all of socket.io is refused every event still comes once and in order, also over the way back", async () => {
  const { ada, ben, project, add } = await team();
  const office = await Office.of(ben, { upgrades: "refuse", polls: "refuse" });
  const { client } = office;
  const me = client.me();
  expect((await me.open()).projects).toEqual([]);
  expect(client.transport).toBe("sync");
  await ada.api.must("POST", `/projects/${project}/members`, { user_id: ben.id, role: "member" });
  const board = client.project(project);
  await until(() => me.getSnapshot().projects.length === 1, 5000);
  await board.open();
  // More than one answer holds apart, and at once.
  await Promise.all(["1", "2", "3", "4", "5"].map(add));
  await until(() => board.getSnapshot().tasks.size === 5, 5000);
  expect([...office.heard].sort()).toEqual(["1", "2", "3", "4", "5"]);
  const made = board.create({ title: "Mine" });
  await made.done;
  await until(() => board.getSnapshot().changes.length === 0 && office.heard.length === 6, 5000);

  // What happens while the client changes over is in the log.
  office.proxy.block("pass");
  client.connect();
  for (const title of ["7", "8", "9"]) await add(title);
  await office.isReady("websocket");
  await add("10");
  await until(() => office.heard.length === 10, 5000);
  expect(office.heard.slice(5)).toEqual(["Mine", "7", "8", "9", "10"]);

  // And back again: the sockets are blocked while one is open.
  office.proxy.block("refuse");
  serverActions(node.broker).drop({ user: ben.id } as never);
  await add("11");
  await office.isReady("sync");
  await add("12");
  await until(() => office.heard.length === 12, 5000);
  expect(office.heard.slice(9)).toEqual(["10", "11", "12"]);
  const { items } = await ada.api.must("GET", `/projects/${project}/tasks?limit=100`);
  expect([...board.getSnapshot().tasks.keys()].sort()).toEqual(
    items.map(({ id }: { id: string }) => id).sort(),
  );

  await ada.api.must("DELETE", `/projects/${project}/members/${ben.id}`);
  expect(await until(() => board.getSnapshot().status === "closed", 5000)).toBe(true);
  expect(await until(() => me.getSnapshot().projects.length === 0, 5000)).toBe(true);
  await ben.api.must("POST", "/auth/logout-all");
  expect(await until(() => client.connection.code === CODES.login, 5000)).toBe(true);
});

test("without sockets a stream whose log was forgotten is reset, and others stay out", async () => {
  const { ada, project, add } = await team();
  const { id: other } = await ada.api.must("POST", "/projects", { name: "Other" });
  const stream = `project:${project}`;
  const office = await Office.of(ada, { upgrades: "refuse", polls: "refuse" }, { streams: [stream] });
  const resets: string[] = [];
  office.client.connect();
  await office.isReady("sync");
  office.client.on("reset", (reset) => resets.push(reset.stream));
  await ada.api.must("POST", `/projects/${other}/tasks`, { title: "Elsewhere" });
  await add("One");
  await office.hears("One");
  office.client.disconnect();
  for (const title of ["Two", "Three"]) await add(title);
  await serverActions(node.broker).forget_before({ stream, seq: office.seq + 2 } as never);
  office.client.connect();
  await office.isReady("sync");
  expect(resets).toEqual([stream]);
  await add("Four");
  await office.hears("One", "Four");
  // A store of a project that was not named follows it all the same.
  const board = await office.client.project(other).open();
  expect([...board.tasks.values()].map(({ title }) => title)).toEqual(["Elsewhere"]);
});

test("where WebSockets, or all of socket.io, are swallowed the client is ready within seconds", async () => {
  const { ada, add } = await team();
  // Two at a time: they wait.
  const offices = await Promise.all([
    Office.of(ada, { upgrades: "swallow", polls: "pass" }),
    Office.of(ada, { upgrades: "swallow", polls: "swallow" }),
  ]);
  for (const { client } of offices) client.connect();
  await Promise.all([offices[0].isReady("polling", 6000), offices[1].isReady("sync", 12_000)]);
  for (const { pauses } of offices) expect(pauses).toBe(0);
  await add("One");
  await Promise.all(offices.map((office) => office.hears("One")));
  await Promise.all(offices.map((office) => office.opens()));
  await add("Two");
  await Promise.all(offices.map((office) => office.hears("One", "Two")));
});
