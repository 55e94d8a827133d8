/** The HTTP edge under clients that are slow, greedy or do not go (docs/reference.md, Size and time limits; docs/reference.md, Health and metrics). */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import { once } from "node:events";
import type { Server } from "node:http";
import { connect, type Socket } from "node:net";
import pg from "pg";
import { until } from "../../local/until.ts";
import { Api, PASSWORD, type Person } from "../support/api.ts";
import { calmNow } from "../support/calm-clock.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { TestSocket } from "../support/socket.ts";

/** A client that writes what it likes, and keeps what it gets. */
class RawClient {
  readonly socket: Socket;
  got = "";
  ended = false;

  constructor(url: string) {
    const { port, hostname } = new URL(url);
    this.socket = connect(Number(port), hostname);
    this.socket.on("data", (chunk) => (this.got += chunk.toString("latin1")));
    this.socket.on("error", () => {});
    this.socket.on("close", () => (this.ended = true));
    // The server ended: there is nothing more to say.
    this.socket.on("end", () => this.socket.end());
  }

  static async dial(url: string, text = ""): Promise<RawClient> {
    const client = new RawClient(url);
    clients.push(client);
    await once(client.socket, "connect");
    client.socket.write(text);
    return client;
  }

  get statuses(): number[] {
    return [...this.got.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status));
  }

  async waitFor(what: string, condition: (client: RawClient) => boolean): Promise<void> {
    if (!(await until(() => condition(this), 8000)))
      throw new Error(`waited in vain for ${what}; got ${JSON.stringify(this.got.slice(0, 300))}`);
  }
}

const clients: RawClient[] = [];
afterEach(() => {
  for (const { socket } of clients.splice(0)) socket.destroy();
});

interface Gateway {
  server: Server;
  connections: { readonly size: number };
  limits: { admit(...args: unknown[]): Promise<void> };
}
const gatewayOf = ({ broker }: TestNode): Gateway =>
  broker.getLocalService("api-gateway") as unknown as Gateway;
const serverOf = (node: TestNode): Server => gatewayOf(node).server;
const connectionsOf = (node: TestNode): number => gatewayOf(node).connections.size;

const head = (method: string, path: string, lines: string[] = []): string =>
  [`${method} ${path} HTTP/1.1`, "Host: taskwire", ...lines, "", ""].join("\r\n");
const withBody = (token: string, body: string): string[] => [
  `Authorization: Bearer ${token}`,
  "Content-Type: application/json",
  `Content-Length: ${Buffer.byteLength(body)}`,
];

describe("a slow client", () => {
  let node: TestNode;
  let ada: Person;

  beforeAll(async () => {
    node = await startTestNode();
    ada = await node.api.person("ada");
  });
  afterAll(() => node?.stop());

  const login = head("POST", "/auth/login", ["Content-Type: application/json", "Content-Length: 60"]);

  test("that sends no more than the beginning of its login keeps nobody from logging in", async () => {
    const half = await Promise.all(Array.from({ length: 80 }, () => RawClient.dial(node.url, `${login}{`)));
    expect(await until(() => connectionsOf(node) >= half.length, 5000)).toBe(true);
    const answer = await node.api.post("/auth/login", { login: ada.username, password: PASSWORD });
    expect(answer.status).toBe(200);
    expect(half.flatMap(({ statuses }) => statuses)).toEqual([]);
  });

  test("that hangs up before its login begins holds no place of those that come later", async () => {
    const { limits } = gatewayOf(node);
    const admit = limits.admit.bind(limits);
    const { promise: answer, resolve: redisAnswers } = Promise.withResolvers<void>();
    let waiting = 0;
    limits.admit = async (...args) => {
      waiting += 1;
      await answer;
      return admit(...args);
    };
    try {
      const before = connectionsOf(node);
      const empty = head("POST", "/auth/login", ["Content-Length: 0"]);
      const gone = await Promise.all(Array.from({ length: 60 }, () => RawClient.dial(node.url, empty)));
      expect(await until(() => waiting === gone.length, 5000)).toBe(true);
      for (const { socket } of gone) socket.resetAndDestroy();
      expect(await until(() => connectionsOf(node) <= before, 5000)).toBe(true);
    } finally {
      limits.admit = admit;
      redisAnswers();
    }
    const login = await node.api.post("/auth/login", { login: ada.username, password: PASSWORD });
    expect(login.status).toBe(200);
  });

  test("has 5 seconds for a head and 10 for all of a request, then 408 and the end", async () => {
    const server = serverOf(node);
    const { headersTimeout, requestTimeout } = server;
    expect({ headersTimeout, requestTimeout }).toEqual({ headersTimeout: 5000, requestTimeout: 10_000 });
    // The same for a test that nobody has to wait for.
    Object.assign(server, { headersTimeout: 300, requestTimeout: 600 });
    try {
      const slow = await Promise.all([
        RawClient.dial(node.url),
        RawClient.dial(node.url, "GET /tasks HTTP/1.1\r\nHost: taskwire\r\n"),
        RawClient.dial(node.url, `${login}{`),
        RawClient.dial(node.url, `${head("POST", "/tasks", withBody(ada.token, "{}"))}{`),
      ]);
      for (const client of slow) {
        await client.waitFor("the end", ({ ended }) => ended);
        expect(client.statuses).toEqual([408]);
        expect(client.got).toMatch(/"type":"\/problems\/request-timeout"/);
      }
    } finally {
      Object.assign(server, { headersTimeout, requestTimeout });
    }
  });

  test("keeps an idle connection for longer than a balancer does", async () => {
    const client = await RawClient.dial(node.url, head("GET", "/auth/me"));
    await client.waitFor("an answer", ({ statuses }) => statuses.length === 1);
    expect(client.got).toMatch(/\r\nConnection: keep-alive\r\nKeep-Alive: timeout=75\r\n/);
    client.socket.write(head("GET", "/auth/me"));
    await client.waitFor("a second answer", ({ statuses }) => statuses.length === 2);
  });
});

describe("an address", () => {
  let node: TestNode;
  beforeAll(async () => {
    node = await startTestNode({ RATE_LIMIT: "on", CONNECTIONS_PER_ADDRESS: 5 });
  });
  afterAll(() => node?.stop());

  test("has so many connections, and a place again when it ends one", async () => {
    const five = await Promise.all(Array.from({ length: 5 }, () => RawClient.dial(node.url, "GET / HT")));
    const sixth = await RawClient.dial(node.url);
    await sixth.waitFor("the end", ({ ended }) => ended);
    expect(sixth.statuses).toEqual([429]);
    expect(sixth.got).toMatch(/\r\nRetry-After: 1\r\n/);
    expect(sixth.got).toMatch(/"type":"\/problems\/rate-limited"/);
    five[0]?.socket.destroy();
    expect(
      await until(async () => {
        const next = await RawClient.dial(node.url, head("GET", "/auth/me", ["Connection: close"]));
        await next.waitFor("the end", ({ ended }) => ended);
        return next.statuses[0] === 401;
      }, 5000),
    ).toBe(true);
  });

  test("that is a proxy's is nobody's", async () => {
    const behind = await startTestNode({
      RATE_LIMIT: "on",
      CONNECTIONS_PER_ADDRESS: 5,
      TRUST_PROXY: 1,
    });
    try {
      const seven = await Promise.all(
        Array.from({ length: 7 }, () => RawClient.dial(behind.url, head("GET", "/auth/me"))),
      );
      for (const client of seven) await client.waitFor("an answer", ({ statuses }) => statuses[0] === 401);
    } finally {
      await behind.stop();
    }
  });
});

describe("a node that stops", () => {
  let node: TestNode;
  let db: pg.Client;
  let ada: Person;
  let stopping: Promise<void>;

  beforeAll(async () => {
    node = await startTestNode();
    ada = await node.api.person("ada");
    db = new pg.Client({ connectionString: node.config.DATABASE_URL });
    await db.connect();
  });
  afterAll(async () => {
    await db?.end();
    await (stopping ?? node?.stop());
  });

  test("finishes a write, and is gone in 2 seconds whatever its clients keep open", async () => {
    const kept = await RawClient.dial(node.url, head("GET", "/auth/me"));
    await kept.waitFor("an answer", ({ statuses }) => statuses.length === 1);
    const late = await RawClient.dial(node.url, head("GET", "/auth/me"));
    await late.waitFor("an answer", ({ statuses }) => statuses.length === 1);
    const half = await RawClient.dial(node.url, "GET /tasks HTTP/1.1\r\n");
    const started = await RawClient.dial(node.url, `${head("POST", "/tasks", withBody(ada.token, "{}"))}{`);
    const pushed = await TestSocket.connect(node.url, { token: ada.token });

    // Clients that ask again and again on connections that they keep.
    const last: string[] = [];
    const lanes = await Promise.all(
      Array.from({ length: 4 }, async () => {
        const client = await RawClient.dial(node.url, head("GET", "/auth/me"));
        client.socket.on("data", (chunk: Buffer) => {
          last.push(chunk.toString("latin1"));
          client.socket.write(head("GET", "/auth/me"));
        });
        return client;
      }),
    );
    await lanes[0]?.waitFor("answers", ({ statuses }) => statuses.length > 3);

    // A write that waits for a lock of ours.
    await db.query("BEGIN; LOCK TABLE tasks.tasks IN EXCLUSIVE MODE");
    const body = JSON.stringify({ title: "Written while the node stops" });
    const write = await RawClient.dial(node.url, head("POST", "/tasks", withBody(ada.token, body)) + body);
    const waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'tasks.tasks'::regclass";
    expect(await until(async () => (await db.query(waits)).rowCount === 1, 5000)).toBe(true);

    const began = calmNow();
    stopping = node.stop();
    // A request that was on its way when the node was told to stop.
    late.socket.write(head("GET", "/auth/me"));
    await late.waitFor("its last answer", ({ ended }) => ended);
    expect(late.got.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 401", "HTTP/1.1 401"]);
    expect(late.got).toMatch(/\r\nConnection: close\r\n/i);
    await kept.waitFor("the end of an idle connection", ({ ended }) => ended);
    await half.waitFor("the end of half a head", ({ ended }) => ended);
    expect(await until(() => lanes.every(({ ended }) => ended), 5000)).toBe(true);
    const refused = connect(Number(new URL(node.url).port), "127.0.0.1");
    expect(await once(refused, "error").then(([error]: Error[]) => error)).toMatchObject({
      code: "ECONNREFUSED",
    });
    await db.query("ROLLBACK");

    await write.waitFor("its answer", ({ ended }) => ended);
    expect(write.statuses).toEqual([201]);
    expect(write.got).toMatch(/\r\nConnection: close\r\n/i);
    await stopping;
    expect(calmNow() - began).toBeLessThan(3000);
    await started.waitFor("the end of half a body", ({ ended }) => ended);
    expect(started.statuses).toEqual([]);
    const { rows } = await db.query("SELECT title FROM tasks.tasks");
    expect(rows).toEqual([{ title: "Written while the node stops" }]);
    pushed.close();
  });
});

test("what can be read takes HEAD, and a slash at its end or none", async () => {
  const node = await startTestNode();
  try {
    const { Authorization } = { Authorization: `Bearer ${(await node.api.person("ada")).token}` };
    const task = await new Api(node.url, Authorization.slice(7)).must("POST", "/tasks", { title: "T" });
    const paths = [
      ...["/", "/docs", "/docs/style.css", "/docs/start.js", "/redoc", "/redoc/start.js"],
      ...["/openapi.json", "/problems", "/problems/not-found"],
      ...[
        "/auth/me",
        "/auth/sessions",
        "/auth/tokens",
        "/users",
        "/projects",
        "/tasks",
        "/categories",
      ].flatMap((path) => [path, `/api/v1${path}`]),
      `/tasks/${task.id}`,
      `/tasks/${task.id}/comments`,
    ];
    const ask = async (method: string, path: string) => {
      const answer = await fetch(`${node.url}${path}`, {
        method,
        headers: { Authorization, Connection: "close" },
        redirect: "manual",
      });
      const { status, headers } = answer;
      return {
        status,
        type: headers.get("content-type"),
        tag: headers.get("etag"),
        body: await answer.text(),
      };
    };
    for (const path of paths) {
      const { body, ...read } = await ask("GET", path);
      expect({ path, status: read.status }).toEqual({ path, status: path === "/" ? 303 : 200 });
      expect({ path, ...(await ask("HEAD", path)) }).toEqual({ path, ...read, body: "" });
      if (path === "/") continue;
      expect({ path, ...(await ask("GET", `${path}/`)) }).toEqual({ path, ...read, body });
      expect({ path, ...(await ask("HEAD", `${path}/?`)) }).toEqual({ path, ...read, body: "" });
    }
  } finally {
    await node.stop();
  }
});
