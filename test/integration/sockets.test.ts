import type { Server } from "node:http";
import { type AddressInfo, createConnection } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "@jest/globals";
import type { ServiceBroker } from "moleculer";
import pg from "pg";
import { newId } from "../../core/ids.ts";
import { metricsOf } from "../../core/metrics.ts";
import { until } from "../../local/until.ts";
import type { Database } from "../../mixins/database.ts";
import { readLogs } from "../../mixins/event-log.queries.ts";
import { startNode } from "../../node.ts";
import type { Person, Wire } from "../support/api.ts";
import { startTestNode, type TestNode } from "../support/node.ts";
import { INVENTED } from "../support/frames.ts";
import { TestSocket } from "../support/socket.ts";

/** What sockets may cost, and what they answer to who can't use them: docs/reference.md, Connecting; docs/reference.md, How a connection ends. */
let node: TestNode;
/** A notifier without gateway and auth service on the same database. */
let alone: ServiceBroker;
let aloneUrl: string;
let sql: pg.Client;
let ada: Person;
const SOCKETS_PER_USER = 5;
const sockets: TestSocket[] = [];

async function connect(token: string, auth: object = {}, options: object = {}): Promise<TestSocket> {
  const socket = await TestSocket.connect(node.url, { token, ...auth }, options);
  sockets.push(socket);
  return socket;
}

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const serverSide = () =>
  (node.broker.getLocalService("notifier") as unknown as { io: Wire }).io.of("/").sockets;
const personal = async (person: Person): Promise<{ id: string; token: string }> =>
  person.api.must("POST", "/auth/tokens", { name: "machine", scope: "read" });

beforeAll(async () => {
  const budget = { points: 10_000, duration: 60 };
  node = await startTestNode({
    RATE_LIMIT: "on",
    RATE_LIMIT_AUTH: budget,
    RATE_LIMIT_DEFAULT: budget,
    SOCKETS_PER_USER,
  });
  alone = await startNode({ ...node.config, SERVICES: ["notifier"], NODE_ID: "alone" });
  aloneUrl = urlOf((alone.getLocalService("notifier") as unknown as { ownServer: Server }).ownServer);
  sql = new pg.Client({ connectionString: node.config.DATABASE_URL });
  await sql.connect();
  ada = await node.api.person("ada");
});
afterEach(() => sockets.splice(0).forEach((socket) => socket.close()));
afterAll(async () => {
  await sql?.end();
  await alone?.stop();
  await node?.stop();
});

describe("streams", () => {
  const MOST = 5000;
  /** As many projects of Ada's as asked for, with `person` in them since so many days ago; each has one event. */
  async function belongTo(person: Person, count: number, days: number, founded = false): Promise<string[]> {
    const { rows } = await sql.query<{ id: string }>(
      `WITH p AS (
         INSERT INTO projects.projects (id, slug, name, owner_id, created_at, updated_at)
         SELECT gen_random_uuid(), $5 || n, 'P', $1::uuid, now() - $4::int * interval '1 day', now()
         FROM generate_series(1, $3::int) n RETURNING id, created_at),
       m AS (INSERT INTO projects.members (project_id, user_id, role, created_at)
         SELECT id, $2, CASE WHEN $1::uuid = $2::uuid THEN 'owner' ELSE 'member' END, created_at FROM p),
       s AS (INSERT INTO events.streams (name, head, members_version) SELECT 'project:' || id, 2, 1 FROM p),
       l AS (INSERT INTO events.log (stream, seq, id, type, time, request_id, data)
         SELECT 'project:' || id, seq, gen_random_uuid(), 'task_due_soon', now(), '${INVENTED}', '{}' FROM p, generate_series(1, 2) seq)
       SELECT id FROM p`,
      [founded ? person.id : ada.id, person.id, count, days, `s-${newId()}-`],
    );
    return rows.map(({ id }) => `project:${id}`);
  }

  test("of who belongs to more than 5,000 projects: founded ones, then the longest-standing; the rest is counted, and comes in as room is made", async () => {
    const zoe = await node.api.person("zoe");
    const old = await belongTo(zoe, MOST - 2, 10);
    const young = await belongTo(zoe, 2, 2);
    const [own] = await belongTo(zoe, 1, 1, true);
    const socket = await connect(zoe.token);
    expect(new Set(Object.keys(socket.ready))).toEqual(new Set([`user:${zoe.id}`, own, ...old]));
    expect(socket.leftOut).toBe(2);

    const full = { problem: { type: "/problems/too-many-streams", status: 422 } };
    expect(await socket.ask("subscribe", { stream: young[0] })).toMatchObject(full);
    const { id } = await ada.api.must("POST", "/projects", { name: "One more" });
    await ada.api.must("POST", `/projects/${id}/members`, { user_id: zoe.id, role: "member" });
    await socket.waitFor(() => socket.leftOut === 3, "the word that there is no room");
    expect(socket.ready).not.toHaveProperty(`project:${id}`);
    await socket.ask("unsubscribe", { stream: old[0] as string });
    expect(await socket.ask("subscribe", { stream: young[0] })).toMatchObject({
      stream: young[0],
      seq: 2,
      recovered: false,
    });

    // All of them, each behind by one event.
    const streams = [own as string, ...old];
    const cursors = Object.fromEntries(streams.map((stream) => [stream, 1]));
    const resumed = await connect(zoe.token, { streams, cursors });
    expect(Object.values(resumed.ready).every(({ seq, recovered }) => seq === 2 && recovered)).toBe(true);
    expect(new Set(resumed.events.map(({ stream }) => stream))).toEqual(new Set(streams));
    expect(resumed.events).toHaveLength(streams.length);
    expect(resumed.leftOut).toBeUndefined();

    const tooMany = Array.from({ length: MOST + 1 }, () => `project:${newId()}`);
    expect(await TestSocket.refused(node.url, { token: zoe.token, streams: tooMany })).toMatchObject(
      full.problem,
    );
  });
});

describe("what a user's sockets cost together", () => {
  test("connections that are gone before it is known whose they are don't count", async () => {
    const gus = await node.api.person("gus");
    const notifier = node.broker.getLocalService("notifier") as unknown as {
      io: Wire;
      authenticate: (token: string) => Promise<unknown>;
    };
    const { authenticate } = notifier;
    const looked = Promise.withResolvers<void>();
    let asked = 0;
    notifier.authenticate = async (token) => {
      asked += 1;
      await looked.promise;
      return authenticate(token);
    };
    const before = notifier.io.engine.clientsCount;
    const gone = Array.from({ length: SOCKETS_PER_USER }, () => {
      const client = new TestSocket(node.url, { token: gus.token });
      sockets.push(client);
      return client;
    });
    expect(await until(() => asked === SOCKETS_PER_USER, 5000)).toBe(true);
    gone.forEach(({ socket }) => socket.io.engine.close());
    expect(await until(() => notifier.io.engine.clientsCount === before, 5000)).toBe(true);
    notifier.authenticate = authenticate;
    looked.resolve();
    const socket = await connect(gus.token);
    expect(socket.ready).toHaveProperty(`user:${gus.id}`);
  });

  test("requests share one budget, which is not another user's", async () => {
    const [hal, ivy] = await Promise.all([node.api.person("hal"), node.api.person("ivy")]);
    const pair = await Promise.all([connect(hal.token), connect(hal.token)]);
    const types: string[] = [];
    // The budget grows meanwhile: on a slow machine it takes more of them.
    for (let n = 0; n < 20 && types.at(-1) !== "/problems/rate-limited"; n++) {
      const asked = pair.flatMap((socket) =>
        Array.from({ length: 40 }, () => socket.ask("subscribe", { stream: `project:${newId()}` })),
      );
      types.push(...(await Promise.all(asked)).map(({ problem }: Wire) => problem.type));
    }
    expect(types[0]).toBe("/problems/not-found");
    expect(types.at(-1)).toBe("/problems/rate-limited");
    expect(pair.map(({ ends }) => ends)).toEqual([[], []]);
    const other = await connect(ivy.token);
    expect(await other.ask("subscribe", { stream: `project:${newId()}` })).toMatchObject({
      problem: { type: "/problems/not-found" },
    });
  });

  test("a replay of many streams is read by the megabyte, and brings everything in order", async () => {
    const jan = await node.api.person("jan");
    const { rows } = await sql.query<{ id: string }>(
      `WITH p AS (
         INSERT INTO projects.projects (id, slug, name, owner_id, created_at, updated_at)
         SELECT gen_random_uuid(), 'long-' || n, 'P', $1::uuid, now(), now() FROM generate_series(1, 20) n
         RETURNING id, created_at),
       m AS (INSERT INTO projects.members (project_id, user_id, role, created_at)
         SELECT id, $1, 'owner', created_at FROM p),
       s AS (INSERT INTO events.streams (name, head, members_version) SELECT 'project:' || id, 4, 1 FROM p),
       l AS (INSERT INTO events.log (stream, seq, id, type, time, request_id, data)
         SELECT 'project:' || id, seq, gen_random_uuid(), 'task_due_soon', now(), '${INVENTED}',
                json_build_object('text', repeat('é', 60000)) FROM p, generate_series(1, 4) seq)
       SELECT id FROM p`,
      [jan.id],
    );
    const streams = rows.map(({ id }) => `project:${id}`);
    const { db } = node.broker.getLocalService("notifier") as unknown as { db: Database };
    const first = await readLogs(
      db,
      streams.map((stream) => ({ stream, after: { seq: 0, id: null }, upTo: 4 })),
      4,
    );
    const read = first.flat().filter((event) => event != null);
    expect(read.length).toBeGreaterThan(0);
    expect(Buffer.byteLength(JSON.stringify(read))).toBeLessThan(1_100_000);

    const socket = await connect(jan.token, {
      cursors: Object.fromEntries(streams.map((name) => [name, 0])),
    });
    for (const stream of streams) {
      expect(socket.ready[stream]).toMatchObject({ seq: 4, recovered: true });
      expect(socket.of(stream).map(({ seq }) => seq)).toEqual([1, 2, 3, 4]);
    }
  });
});

describe("a personal token", () => {
  test("opens a socket, and renews one; the socket ends with it", async () => {
    const { id, token } = await personal(ada);
    const socket = await connect(token);
    expect(Object.keys(socket.ready)).toContain(`user:${ada.id}`);
    const renewed = await connect(ada.token);
    expect(await renewed.ask("authenticate", { token })).toEqual({ expires_at: null });
    await ada.api.must("DELETE", `/auth/tokens/${id}`);
    for (const one of [socket, renewed]) {
      await one.waitFor(() => one.ends.length > 0, "the end");
      expect(one.dismissed).toMatchObject([{ frame: "session_ended", problem: { status: 401 } }]);
      expect(one.ends).toEqual(["io server disconnect"]);
    }
    for (const bad of [token, "twp_", `twp_${"x".repeat(600)}`])
      expect(await TestSocket.refused(node.url, { token: bad })).toMatchObject({
        status: 401,
        type: "/problems/invalid-token",
      });
  });

  test("that is limited to projects opens their streams alone, and again after a loss; a socket that it renews keeps no other", async () => {
    const [inside, outside] = (await Promise.all(
      ["Inside", "Outside"].map((name) => ada.api.must("POST", "/projects", { name })),
    )) as [{ id: string }, { id: string }];
    const { token } = await ada.api.must("POST", "/auth/tokens", {
      name: "limited",
      scope: "read",
      project_ids: [inside.id],
    });
    const limited = await connect(token);
    expect([Object.keys(limited.ready), limited.closed]).toEqual([[`project:${inside.id}`], []]);
    const open = await connect(ada.token);
    expect(open.ready).toHaveProperty(`project:${outside.id}`);
    expect(await open.ask("authenticate", { token })).toEqual({ expires_at: null });
    await ada.api.must("POST", `/projects/${outside.id}/tasks`, { title: "Secret" });
    await ada.api.must("POST", `/projects/${inside.id}/tasks`, { title: "Seen" });
    await open.waitFor(() => open.events.length > 0);
    expect(open.events.map(({ stream }) => stream)).toEqual([`project:${inside.id}`]);
    const closed = open.closed.map(({ stream }) => stream);
    expect(closed).toEqual(expect.arrayContaining([`project:${outside.id}`, `user:${ada.id}`]));

    const stream = `project:${inside.id}`;
    for (const socket of [limited, open]) delete socket.ready[stream];
    await ada.api.must("DELETE", `/projects/${inside.id}`);
    await ada.api.must("POST", `/projects/${inside.id}/restore`);
    for (const socket of [limited, open])
      await socket.waitFor(() => socket.ready[stream] !== undefined, "its stream again");
    expect(Object.keys(limited.ready)).toEqual([stream]);
  });

  test("while the auth service is away: its client is let go and comes back by itself, and renewing answers 503", async () => {
    const { token } = await personal(ada);
    const knocking = new TestSocket(aloneUrl, { token }, { reconnection: true });
    sockets.push(knocking);
    await knocking.waitFor(() => knocking.attempts >= 2, "a second try");
    expect(knocking.refusals).toEqual([]);
    const open = await TestSocket.connect(aloneUrl, { token: ada.token });
    sockets.push(open);
    expect(await open.ask("authenticate", { token })).toMatchObject({
      problem: { status: 503, type: "/problems/service-unavailable" },
    });
  });
});

describe("a client that reads too slowly", () => {
  test("is cut off by the bytes that wait for it, while others get everything; it resumes without hole or repeat", async () => {
    const kim = await node.api.person("kim");
    await kim.api.must("POST", "/tasks", { title: "The first of the stream" });
    const stream = `user:${kim.id}`;
    const reader = await connect(kim.token);
    const slow = await connect(kim.token, {}, { reconnection: true });
    const first = slow.ready[stream]!.seq + 1;
    const { id: sid } = slow.socket;
    const connection = (slow.socket.io.engine.transport as unknown as { ws: { _socket: Wire } }).ws._socket;
    connection.pause();
    const polling = await connect(kim.token, {}, { transports: ["polling"] });
    const { id: pollingSid } = polling.socket;
    const { transport } = polling.socket.io.engine as unknown as { transport: Wire };
    transport.pause(() => {});
    // Fewer bytes than one socket may have at a moment, so that it takes a sweep.
    const COUNT = 120;
    await sql.query(
      `WITH head AS (UPDATE events.streams SET head = head + $2 WHERE name = $1 RETURNING head - $2 AS head)
       INSERT INTO events.log (stream, seq, id, type, time, request_id, data)
       SELECT $1, head + n, gen_random_uuid(), 'task_updated', now(), '${INVENTED}',
              json_build_object('text', repeat('x', 120000))
       FROM head, generate_series(1, $2) n`,
      [stream, COUNT],
    );
    await reader.waitFor(() => reader.of(stream).length === COUNT, "all of them");
    for (const id of [sid, pollingSid]) expect(await until(() => !serverSide().has(id), 10_000)).toBe(true);
    expect(serverSide().has(reader.socket.id)).toBe(true);
    // A client that has paused can't be told, and would wait for a ping.
    transport.onClose();
    connection.resume();
    await slow.waitFor(() => slow.of(stream).length >= COUNT, "the rest");
    expect(slow.of(stream).map(({ seq }) => seq)).toEqual(
      Array.from({ length: COUNT }, (_, at) => first + at),
    );
    expect(slow.ends).not.toContain("io server disconnect");
    expect(await metricsOf(node.broker).text()).toContain(
      'taskwire_socket_disconnects_total{reason="slow reader"} 2\n',
    );
  });
});

describe("a client that sends too much", () => {
  /** A client without manners: it says what it is told to, and tells when it is cut off. */
  async function raw(frames: (string | Buffer)[]): Promise<void> {
    const socket = new WebSocket(`${node.url.replace("http", "ws")}/ws/?EIO=4&transport=websocket`);
    const { promise, resolve } = Promise.withResolvers<void>();
    socket.onclose = () => resolve();
    socket.onopen = () => frames.forEach((frame) => socket.send(frame as string));
    await promise;
  }
  const opening = () => `40${JSON.stringify({ token: ada.token, streams: [] })}`;
  /** Sent once the socket is open. */
  const after = (send: (socket: TestSocket) => void) => async () => {
    const socket = await connect(ada.token, { streams: [] });
    send(socket);
    await socket.waitFor(() => socket.ends.length > 0, "being cut off");
    expect(["transport close", "transport error"]).toContain(socket.ends[0]);
  };
  const times = (count: number, send: (socket: TestSocket) => void) => (socket: TestSocket) => {
    for (let n = 0; n < count; n++) send(socket);
  };

  test.each<[string, () => Promise<void>]>([
    ["unknown events", after(times(300, ({ socket }) => socket.emit("hello", 1)))],
    ["events that are too long", after(({ socket }) => socket.emit("hello", "x".repeat(20_000)))],
    ["many that are long", after(times(20, ({ socket }) => socket.emit("hello", "x".repeat(15_000))))],
    ["bytes", after(({ socket }) => socket.emit("hello", Buffer.from("x")))],
    ["a second CONNECT", () => raw([opening(), opening()])],
    ["something before CONNECT", () => raw(['42["hello"]'])],
    ["a CONNECT that is too deep", () => raw([`40{"a":${"[".repeat(100_000)}${"]".repeat(100_000)}}`])],
  ])("is cut off: %s", async (_, attempt) => {
    await attempt();
    // Nobody else suffers.
    expect((await connect(ada.token)).ready).toHaveProperty(`user:${ada.id}`);
    expect(await metricsOf(node.broker).text()).toMatch(
      /^taskwire_socket_disconnects_total\{reason="flood"\} [1-9]/m,
    );
  });

  test("has so many sockets and not one more", async () => {
    const ben = await node.api.person("ben");
    const open = await Promise.all(Array.from({ length: SOCKETS_PER_USER }, () => connect(ben.token)));
    expect(await TestSocket.refused(node.url, { token: ben.token })).toMatchObject({
      status: 429,
      type: "/problems/rate-limited",
    });
    const { id } = open[0]!.socket;
    open[0]!.close();
    await until(() => !serverSide().has(id), 5000);
    expect((await connect(ben.token)).ready).toHaveProperty(`user:${ben.id}`);
  });
});

describe("/ws", () => {
  const SECURITY = [
    "content-security-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-frame-options",
  ];
  const expectHeaders = ({ headers }: Response) => {
    for (const name of [...SECURITY, "x-request-id", "x-process-time"]) expect(headers.has(name)).toBe(true);
  };
  const handshake = "EIO=4&transport=polling";
  const places: [string, () => string][] = [
    ["the gateway's server", () => node.url],
    ["the notifier's own", () => aloneUrl],
  ];

  test.each(places)(
    "is one resource with or without its last slash, by both transports, on %s",
    async (_, url) => {
      for (const path of ["/ws", "/ws/"]) {
        const polled = await fetch(`${url()}${path}?${handshake}`, { headers: { Connection: "close" } });
        expect(polled.status).toBe(200);
        expectHeaders(polled);
        expect(await polled.text()).toMatch(/^0\{"sid":/);
        const socket = new WebSocket(`${url().replace("http", "ws")}${path}?EIO=4&transport=websocket`);
        const { promise, resolve, reject } = Promise.withResolvers<string>();
        socket.onmessage = ({ data }) => resolve(String(data));
        socket.onerror = () => reject(new Error(`${path} takes no WebSocket`));
        expect(await promise).toMatch(/^0\{"sid":/);
        socket.close();
      }
    },
  );

  test.each<[string, string, string, number]>([
    ["GET", `/ws/?transport=polling`, "malformed-request", 400],
    ["GET", `/ws/?EIO=3&transport=polling`, "malformed-request", 400],
    ["GET", `/ws/?${handshake}&j=0`, "malformed-request", 400],
    ["GET", `/ws?EIO=4&transport=smoke`, "malformed-request", 400],
    ["GET", `/ws?EIO=4&transport=websocket`, "malformed-request", 400],
    ["GET", `/ws/?${handshake}&sid=nobody`, "malformed-request", 400],
    ["POST", `/ws/?${handshake}`, "malformed-request", 400],
    ["DELETE", `/ws/?${handshake}`, "method-not-allowed", 405],
    ["GET", `/ws/more?${handshake}`, "not-found", 404],
    ["GET", "/wsx", "not-found", 404],
  ])("%s %s is refused with a problem like any other", async (method, path, code, status) => {
    for (const [, url] of places) {
      const answer = await fetch(`${url()}${path}`, {
        method,
        headers: { Connection: "close", "X-Request-ID": "my-request" },
      });
      expect(answer.status).toBe(status);
      expectHeaders(answer);
      expect(answer.headers.get("content-type")).toMatch(/^application\/problem\+json/);
      expect(await answer.json()).toMatchObject({
        type: `/problems/${code}`,
        status,
        detail: expect.any(String),
        instance: expect.any(String),
        request_id: "my-request",
      });
    }
  });

  test.each(places)("answers what is no HTTP with a problem too, on %s", async (_, url) => {
    const connection = createConnection({ host: "127.0.0.1", port: Number(new URL(url()).port) });
    connection.write("HELLO\r\n\r\n");
    const answer = (await connection.setEncoding("utf8").toArray()).join("");
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(answer).toMatch(/content-type: application\/problem\+json/i);
    for (const name of [...SECURITY, "x-request-id"]) expect(answer.toLowerCase()).toContain(`\r\n${name}: `);
  });

  test("holds so many connections of one address that don't say who they are, and not one more", async () => {
    const knock = (headers: object) =>
      fetch(`${node.url}/ws/?${handshake}`, { headers: { Connection: "close", ...headers } });
    let refused: Response | undefined;
    for (let n = 0; n <= 100 && refused === undefined; n++) {
      const answer = await knock({ "X-Forwarded-For": `203.0.113.${n}` });
      if (answer.status !== 200) refused = answer;
      else await answer.text();
    }
    expect(refused?.status).toBe(429);
    expect(refused?.headers.get("retry-after")).toBe("1");
    expectHeaders(refused as Response);
    expect(await refused?.json()).toMatchObject({ type: "/problems/rate-limited" });
    const upgrade = new WebSocket(`${node.url.replace("http", "ws")}/ws?EIO=4&transport=websocket`);
    await new Promise((resolve) => (upgrade.onerror = resolve));
  });
});
