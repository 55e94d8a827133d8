import { EventEmitter, once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, jest, test } from "@jest/globals";
import { Server, type Socket } from "socket.io";
import { loadConfig } from "../../core/config.ts";
import { SocketEndpoint } from "../../services/notifier/endpoint.ts";
import {
  answeredOn,
  terminate,
  drained,
  isTooSlow,
  closeConnection,
  mayWait,
  slowConnections,
  terminationOf,
  waitingBytes,
} from "../../services/notifier/slow-client.ts";

const MB = 1024 * 1024;

/** engine.io's side of a connection, as far as it is asked here. */
class FakeConnection extends EventEmitter {
  server = {};
  readyState = "open";
  writeBuffer: object[] = [];
  closed: boolean[] = [];
  terminated = 0;
  readonly transport = {
    name: "websocket",
    socket: { bufferedAmount: 0, terminate: () => (this.terminated += 1) },
  };

  send(length: number): this {
    this.writeBuffer.push({ data: "x".repeat(length) });
    return this;
  }

  flush(): void {
    this.writeBuffer = [];
    this.emit("drain");
  }

  close(discard = false): void {
    this.closed.push(discard);
    this.emit("close");
  }
}

const socketOf = (conn: FakeConnection, user = "ada") => ({ conn: conn as never, disconnected: false, user });
/** Those of a server's sockets that are slow, after something was written for all of them. */
function slowOf(...sockets: ReturnType<typeof socketOf>[]): ReturnType<typeof socketOf>[] {
  const server = {};
  for (const { conn } of sockets) mayWait(Object.assign(conn, { server }));
  const slow = slowConnections(server, (conn) => sockets.find((one) => one.conn === conn)?.user);
  return sockets.filter(({ conn }) => slow.includes(conn));
}

describe("what waits for a client", () => {
  test("is what engine.io holds, what the WebSocket holds, and what polls were answered that nobody read", () => {
    const conn = new FakeConnection().send(1000).send(2000);
    expect(waitingBytes(conn as never)).toBeGreaterThanOrEqual(3000);
    expect(waitingBytes(conn as never)).toBeLessThan(5000);
    conn.flush();
    expect(waitingBytes(conn as never)).toBe(0);
    conn.transport.socket.bufferedAmount = 700;
    const answer = Object.assign(new EventEmitter(), { writableLength: 50 });
    for (let poll = 0; poll < 2; poll++) answeredOn(conn as never, answer as never);
    expect(waitingBytes(conn as never)).toBe(750);
    answer.emit("close");
    expect(waitingBytes(conn as never)).toBe(700);
  });
});

describe("a socket is too slow", () => {
  test("at once with more than 16 MB, and by 2 MB at two beats in a row", () => {
    const much = socketOf(new FakeConnection().send(17 * MB));
    expect([isTooSlow(much), slowOf(much)]).toEqual([true, [much]]);
    const conn = new FakeConnection().send(3 * MB);
    const some = socketOf(conn);
    expect([isTooSlow(some), slowOf(some)]).toEqual([false, []]);
    expect(slowOf(some)).toEqual([some]);
    conn.flush();
    expect(slowOf(some)).toEqual([]);
    conn.send(3 * MB);
    expect(slowOf(some)).toEqual([]);
  });

  test("together with its user's others, while those of other users and those that read well stay", () => {
    const mine = Array.from({ length: 9 }, () => socketOf(new FakeConnection().send(MB)));
    const reading = socketOf(new FakeConnection().send(1000));
    const other = socketOf(new FakeConnection().send(MB), "ben");
    expect(slowOf(...mine, reading, other)).toEqual(mine);
  });

  test("together with all of the node", () => {
    const all = Array.from({ length: 260 }, (_, n) => socketOf(new FakeConnection().send(MB), `user ${n}`));
    expect(slowOf(...all)).toHaveLength(260);
    expect(slowOf(...all.slice(10))).toEqual([]);
  });
});

test("a sweep looks at a connection as long as something waits there or its client polls, until it is closed", () => {
  const [reading, polling, ended] = [new FakeConnection(), new FakeConnection(), new FakeConnection()];
  const server = {};
  const all = [reading, polling, ended];
  for (const conn of all) mayWait(Object.assign(conn, { server }) as never);
  polling.transport.name = "polling";
  ended.readyState = "closed";
  const sweep = () => slowConnections(server, () => "ada");
  expect(sweep()).toEqual([]);
  for (const conn of all) conn.send(17 * MB);
  expect(sweep()).toEqual([polling]);
  mayWait(reading as never);
  expect(sweep()).toEqual([polling, reading]);
});

test("a sweep looks at a WebSocket to which engine.io has written", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const io = new Server({ path: "/ws", serveClient: false });
  new SocketEndpoint(loadConfig({})).attach(io, server);
  const { port } = server.address() as AddressInfo;
  const client = new WebSocket(`ws://127.0.0.1:${port}/ws/?EIO=4&transport=websocket`);
  try {
    const [conn] = (await once(io.engine as unknown as EventEmitter, "connection")) as [Socket["conn"]];
    const isSlow = () => slowConnections(io.engine, () => "ada").includes(conn);
    expect(isSlow()).toBe(false);
    // The client reads nothing of it before this turn of the event loop is over.
    conn.send("x".repeat(20 * MB));
    expect(isSlow()).toBe(true);
  } finally {
    client.close();
    await io.close();
  }
});

describe("the end of a connection", () => {
  test("comes after what was sent, or at once with what waits", () => {
    const conn = new FakeConnection();
    closeConnection(socketOf(conn));
    expect([conn.closed, conn.terminated]).toEqual([[false], 0]);
    terminate(socketOf(conn), "flood");
    expect([conn.closed, conn.terminated]).toEqual([[false, true], 1]);
    expect(terminationOf(conn as never)).toBe("flood");
  });
});

describe("a replay waits for its client", () => {
  beforeEach(() => void jest.useFakeTimers());
  afterEach(() => void jest.useRealTimers());

  test("no moment when nothing waits", async () => {
    expect(await drained(socketOf(new FakeConnection()))).toBe(true);
    expect(await drained({ ...socketOf(new FakeConnection()), disconnected: true })).toBe(false);
  });

  test("up to ten seconds, and then cuts it off", async () => {
    const conn = new FakeConnection().send(10);
    const first = drained(socketOf(conn));
    jest.advanceTimersByTime(9_900);
    conn.flush();
    expect([await first, conn.closed]).toEqual([true, []]);
    const second = drained(socketOf(conn.send(10)));
    jest.advanceTimersByTime(10_100);
    expect([await second, conn.closed]).toEqual([false, [true]]);
    expect(terminationOf(conn as never)).toBe("slow reader");
    expect([conn.listenerCount("drain"), jest.getTimerCount()]).toEqual([0, 0]);
  });

  test("and hears that it is gone", async () => {
    const conn = new FakeConnection().send(10);
    const waiting = drained(socketOf(conn));
    conn.emit("close");
    expect(await waiting).toBe(false);
  });
});
