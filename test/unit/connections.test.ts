import { afterEach, expect, jest, test } from "@jest/globals";
import { once } from "node:events";
import { createServer, ServerResponse, type IncomingMessage } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { until } from "../../local/until.ts";
import { Connections, type ConnectionSettings } from "../../services/api-gateway/connections.ts";

const MIB = 1024 * 1024;
const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** A server whose answers have as many MiB as the path says, under `Connections` with these bounds. */
async function serve(settings: Partial<ConnectionSettings>) {
  const connections = new Connections({
    perAddress: 0,
    addressOf: () => "here",
    isPush: () => false,
    refuse: (socket) => socket.destroy(),
    ...settings,
  });
  class Watched<Request extends IncomingMessage> extends ServerResponse<Request> {
    constructor(request: Request, options?: object) {
      super(request, ...([options] as unknown as []));
      connections.begin(request, this);
    }
  }
  const server = createServer({ ServerResponse: Watched }, (request, response) => {
    const mebibytes = Number(request.url?.slice(1));
    try {
      connections.mustHaveRoom(request, "client", mebibytes * MIB);
      response.end(Buffer.alloc(mebibytes * MIB));
    } catch {
      response.writeHead(503).end();
    }
  });
  connections.watch(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  ends.push(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  });

  const open = new Set<Socket>();
  ends.push(async () => open.forEach((socket) => socket.destroy()));
  return {
    connections,
    /** Asks for an answer, and reads no more than its beginning. */
    ask: async (mebibytes: number): Promise<{ status: number; socket: Socket }> => {
      const socket = connect(port, "127.0.0.1");
      open.add(socket.on("error", () => {}));
      socket.write(`GET /${mebibytes} HTTP/1.1\r\nHost: x\r\n\r\n`);
      const [chunk] = (await once(socket, "data")) as [Buffer];
      socket.pause();
      return { status: Number(chunk.subarray(9, 12).toString()), socket };
    },
    connected: () =>
      new Promise<number>((resolve) => server.getConnections((_error, count) => resolve(count))),
  };
}

test("an answer that nobody reads in time ends its connection, and one that is read does not", async () => {
  const { ask, connected } = await serve({ readWithinMs: 300 });
  await ask(16);
  const read = await ask(1);
  read.socket.resume();
  expect(await until(async () => (await connected()) === 1, 5000)).toBe(true);
  expect(read.socket.destroyed).toBe(false);
});

test("a client has room for so many bytes that wait, over all its connections, and again when it read them", async () => {
  const { ask, connected } = await serve({ maxWaitingBytes: 40 * MIB });
  expect((await ask(16)).status).toBe(200);
  const second = await ask(16);
  expect([second.status, (await ask(16)).status]).toEqual([200, 503]);
  second.socket.resume();
  expect(await until(async () => (await ask(16)).status === 200, 5000)).toBe(true);
  expect(await connected()).toBeGreaterThan(3);
});

test("beyond what all clients together may leave unread the longest wait ends", async () => {
  const { ask, connected } = await serve({ maxWaitingBytes: Infinity, maxAllWaitingBytes: 40 * MIB });
  const [first] = [await ask(16), await ask(16)];
  expect(await connected()).toBe(2);
  await ask(16);
  expect(await until(async () => (await connected()) === 2, 5000)).toBe(true);
  let got = 0;
  first.socket.on("data", (chunk: Buffer) => (got += chunk.length)).resume();
  await once(first.socket, "close");
  expect(got).toBeLessThan(16 * MIB);
});

test("a server that stops gives reads 2 seconds, and writes that came whole 10", async () => {
  const connections = new Connections({
    perAddress: 0,
    addressOf: () => "here",
    isPush: () => false,
    refuse: (socket) => socket.destroy(),
  });
  const held: ServerResponse[] = [];
  const server = createServer((request, response) => {
    connections.begin(request, response);
    held.push(response);
  });
  connections.watch(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const ask = async (head: string): Promise<Socket> => {
    const socket = connect(port, "127.0.0.1")
      .on("error", () => {})
      .resume();
    ends.push(async () => socket.destroy());
    const before = held.length;
    socket.write(`${head}\r\nHost: x\r\n`);
    socket.write("\r\n");
    expect(await until(() => held.length > before, 5000)).toBe(true);
    return socket;
  };
  const read = await ask("GET / HTTP/1.1");
  const half = await ask("POST / HTTP/1.1\r\nContent-Length: 9");
  const answered = await ask("DELETE / HTTP/1.1");
  const silent = await ask("DELETE / HTTP/1.1");

  jest.useFakeTimers({ doNotFake: ["nextTick", "queueMicrotask", "setImmediate", "performance", "Date"] });
  try {
    const drained = connections.drain();
    const closing = [read, half].map((socket) => once(socket, "close"));
    jest.advanceTimersByTime(1999);
    expect(held.map(({ destroyed }) => destroyed)).toEqual([false, false, false, false]);
    jest.advanceTimersByTime(1);
    await Promise.all(closing);
    jest.advanceTimersByTime(7000);
    expect(held.map(({ socket }) => socket?.destroyed ?? true)).toEqual([true, true, false, false]);
    const got = once(answered, "data");
    held[2]?.end("done");
    expect(String((await got)[0])).toMatch(/^HTTP\/1.1 200 OK\r\nConnection: close\r\n/i);
    await once(answered, "close");
    const end = once(silent, "close");
    jest.advanceTimersByTime(1000);
    await Promise.all([end, drained]);
  } finally {
    jest.useRealTimers();
  }
});
