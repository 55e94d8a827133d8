/** The proxy of `npm run cluster`: which node gets what, and what clients see of nodes that are away. */
import { afterEach, beforeEach, expect, test } from "@jest/globals";
import { once } from "node:events";
import { createServer, request, type Server, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { text } from "node:stream/consumers";
import { until } from "../../local/until.ts";
import { freePort } from "../../local/ports.ts";
import { ReverseProxy } from "../../local/reverse-proxy.ts";

const NAMES = ["gateway-1", "gateway-2", "notifier-1", "notifier-2"] as const;
type Name = (typeof NAMES)[number];

/** What a node was asked, as it answers. */
interface Echo {
  node: Name;
  method: string;
  path: string;
  forwarded: string;
  upgrade: string | null;
  body: string;
}

const nodes = new Map<Name, Server>();
let proxy: ReverseProxy;
let port: number;
let url: string;
/** Answers that nodes keep open. */
let open: ServerResponse[];

async function startNode(node: Name): Promise<number> {
  const server = createServer((incoming, answer) => {
    const { method = "", url: path = "", headers } = incoming;
    const { "x-forwarded-for": forwarded, upgrade = null } = headers;
    if (path === "/stream") {
      open.push(answer.writeHead(200, { "Content-Type": "text/event-stream" }));
      answer.flushHeaders();
    } else if (path === "/too-large") answer.writeHead(413).end("too large");
    else
      void text(incoming).then((body) =>
        answer
          .writeHead(201, { "Content-Type": "application/json", ETag: '"1"' })
          .end(JSON.stringify({ node, method, path, forwarded, upgrade, body })),
      );
  });
  server.on("upgrade", ({ headers }, socket, head) => {
    socket.on("error", () => {});
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${headers.upgrade}\r\n\r\n${node} `);
    socket.write(head);
    socket.pipe(socket);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  nodes.set(node, server);
  return (server.address() as AddressInfo).port;
}

/** A node is gone, and so are its connections. */
function kill(node: Name): void {
  nodes.get(node)?.close();
  nodes.get(node)?.closeAllConnections();
}

beforeEach(async () => {
  open = [];
  port = await freePort();
  url = `http://127.0.0.1:${port}`;
  const [gateway, otherGateway, notifier, otherNotifier] = (await Promise.all(NAMES.map(startNode))) as [
    number,
    number,
    number,
    number,
  ];
  proxy = await ReverseProxy.listen({
    host: "127.0.0.1",
    port,
    gateways: [gateway, otherGateway],
    notifiers: [notifier, otherNotifier],
  });
});
afterEach(async () => {
  await proxy.close();
  NAMES.forEach(kill);
});

const ask = async (path: string, options: RequestInit = {}): Promise<Echo> =>
  (await (await fetch(`${url}${path}`, options)).json()) as Echo;

/** Opens a WebSocket, and sends a word along with its handshake. */
function upgrade(path: string): Socket {
  const socket = connect(port, "127.0.0.1").on("error", () => {});
  const lines = [`GET ${path} HTTP/1.1`, "Host: x", "Connection: Upgrade", "Upgrade: websocket", "", "hello"];
  socket.write(lines.join("\r\n"));
  return socket;
}

/** What came until it ends with `end`. */
async function readUntil(socket: Socket, end: string): Promise<string> {
  let all = "";
  socket.setEncoding("utf8").on("data", (part: string) => (all += part));
  await until(() => all.endsWith(end), 10_000);
  return all;
}

test("requests go to the gateways in turn, as they are, with the address that they came from", async () => {
  const options = { method: "PATCH", body: "some text", headers: { "X-Forwarded-For": "203.0.113.9" } };
  const answers = [await ask("/tasks/1?a=%20b", options), await ask("/ws-is-no-socket"), await ask("/")];
  expect(answers.map(({ node }) => node)).toEqual(["gateway-1", "gateway-2", "gateway-1"]);
  expect(answers[0]).toEqual({
    node: "gateway-1",
    method: "PATCH",
    path: "/tasks/1?a=%20b",
    forwarded: "203.0.113.9, 127.0.0.1",
    upgrade: null,
    body: "some text",
  });
  const { status, headers } = await fetch(url);
  expect([status, headers.get("etag")]).toEqual([201, '"1"']);
});

test("WebSockets go to the notifiers in turn, byte by byte; a session that polls stays at one", async () => {
  const said = [];
  for (const path of ["/ws/?EIO=4&transport=websocket", "/ws?transport=websocket"]) {
    const socket = upgrade(path);
    said.push(await readUntil(socket, "hello"));
    socket.write("more");
    expect(await readUntil(socket, "more")).toBe("more");
    socket.destroy();
  }
  expect(said.map((text) => text.split("\r\n\r\n")[1]).sort()).toEqual([
    "notifier-1 hello",
    "notifier-2 hello",
  ]);
  const polled = await ask("/ws/?EIO=4&transport=polling");
  for (const { node } of [
    await ask("/ws/?transport=polling&sid=1"),
    await ask("/ws/?transport=polling&sid=2"),
  ])
    expect(node).toBe(polled.node);
  const socket = upgrade("/ws/?transport=websocket&sid=1");
  expect(await readUntil(socket, "hello")).toMatch(new RegExp(`\r\n\r\n${polled.node} hello$`));
  socket.destroy();
});

test("a node that takes no connection is passed over; where none does, clients are told to come back", async () => {
  kill("gateway-1");
  kill("notifier-1");
  for (let nth = 0; nth < 2; nth++) {
    expect(await ask("/tasks", { method: "POST", body: "kept" })).toMatchObject({
      node: "gateway-2",
      body: "kept",
    });
    const socket = upgrade("/ws/?transport=websocket");
    expect(await readUntil(socket, "hello")).toMatch(/notifier-2 hello$/);
    socket.destroy();
  }
  kill("gateway-2");
  kill("notifier-2");
  const answer = await fetch(`${url}/tasks`, { method: "POST", body: "lost" });
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([503, "1"]);
  expect(await answer.json()).toMatchObject({
    type: "/problems/service-unavailable",
    detail: "No gateway takes connections now",
    instance: "/tasks",
  });
  expect(await text(upgrade("/ws/?transport=websocket"))).toMatch(
    /^HTTP\/1\.1 503 [\s\S]*"No notifier takes connections now"/,
  );
});

test("a stream opens before it says anything, ends with its client, and breaks with its node", async () => {
  const leaving = new AbortController();
  const [left, broken] = await Promise.all([
    fetch(`${url}/stream`, { signal: leaving.signal }),
    fetch(`${url}/stream`),
  ]);
  expect([left.status, broken.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
  leaving.abort();
  expect(await until(() => open.some(({ destroyed }) => destroyed), 10_000)).toBe(true);
  kill("gateway-1");
  kill("gateway-2");
  await expect(broken.text()).rejects.toThrow();
});

test("an answer that comes before its request was read leaves the connection as it was", async () => {
  const { promise, resolve, reject } = Promise.withResolvers<[number | undefined, string]>();
  const sending = request(`${url}/too-large`, { method: "POST" }, (answer) => {
    void text(answer).then((body) => resolve([answer.statusCode, body]));
  });
  sending.on("error", reject);
  sending.write("x".repeat(100_000));
  expect(await promise).toEqual([413, "too large"]);
  sending.destroy();
  expect(await ask("/after")).toMatchObject({ path: "/after" });
});
