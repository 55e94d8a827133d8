import { EventEmitter } from "node:events";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { Heartbeat, PING_INTERVAL_MS, PING_TIMEOUT_MS } from "../../services/notifier/heartbeat.ts";

/** engine.io's side of a WebSocket, as far as it is asked here. */
class FakeConnection extends EventEmitter {
  readonly written: Buffer[] = [];
  readonly queued: string[] = [];
  readonly ended: string[] = [];
  readonly tcp = Object.assign(new EventEmitter(), {
    bytesRead: 0,
    write: (bytes: Buffer) => this.written.push(bytes),
  });
  /** What ws reads. */
  readonly read: Buffer[] = [];
  readonly receiver = { _state: 0, _bufferedBytes: 0, _fragmented: 0 };
  readonly transport = {
    name: "websocket",
    socket: { readyState: 1, _socket: this.tcp, _receiver: this.receiver },
  };
  pongs = 0;
  readyState = "open";
  writeBuffer: object[] = [];
  pingIntervalTimer: NodeJS.Timeout | null = setTimeout(
    () => this.written.push(Buffer.from("engine.io's")),
    1,
  );

  constructor() {
    super();
    this.tcp.on("data", (bytes: Buffer) => this.read.push(bytes));
  }

  sendPacket(type: string): void {
    this.queued.push(type);
  }
  onClose(reason: string): void {
    this.ended.push(reason);
  }
}

let heartbeat: Heartbeat;
beforeEach(() => {
  jest.useFakeTimers();
  heartbeat = new Heartbeat();
});
afterEach(() => void jest.useRealTimers());
const added = (): FakeConnection => {
  const conn = new FakeConnection();
  heartbeat.add(conn as never, () => (conn.pongs += 1));
  return conn;
};

test("a WebSocket is pinged once each interval, and engine.io pings it no more", () => {
  const conn = added();
  for (let second = 0; second < (2 * PING_INTERVAL_MS) / 1000; second++) {
    jest.advanceTimersByTime(1000);
    conn.tcp.bytesRead += 7;
  }
  // A whole text of one byte.
  const ping = Buffer.from([0x81, 1, "2".charCodeAt(0)]);
  expect([conn.written, conn.ended]).toEqual([[ping, ping], []]);
});

test("a client that sends nothing after its ping is gone; one that sends anything is not", () => {
  const [silent, alive] = [added(), added()];
  const steps = (PING_INTERVAL_MS + PING_TIMEOUT_MS) / 1000;
  for (let step = 0; step < steps; step++) {
    jest.advanceTimersByTime(1000);
    alive.tcp.bytesRead += 1;
  }
  expect([silent.ended[0], alive.ended]).toEqual(["ping timeout", []]);
});

test("a ping waits behind what engine.io holds back", () => {
  const conn = added();
  conn.writeBuffer.push({});
  jest.advanceTimersByTime(PING_INTERVAL_MS);
  expect([conn.queued, conn.written]).toEqual([["ping"], []]);
});

test("the pings of many are spread over the interval, and nothing runs without a socket", () => {
  const all = Array.from({ length: 1000 }, added);
  const pinged = () => all.filter(({ written }) => written.length > 0).length;
  jest.advanceTimersByTime(PING_INTERVAL_MS / 10);
  expect(pinged()).toBeGreaterThan(50);
  expect(pinged()).toBeLessThan(200);
  for (const conn of all) heartbeat.remove(conn as never);
  expect(jest.getTimerCount()).toBe(0);
});

test("an answer is counted where it arrives, unless it lies within another frame; all else is read by ws", () => {
  const conn = added();
  const mask = [0x12, 0x34, 0x56, 0x78];
  const pong = Buffer.from([0x81, 0x81, ...mask, "3".charCodeAt(0) ^ 0x12]);
  conn.tcp.emit("data", pong);
  expect([conn.pongs, conn.read]).toEqual([1, []]);
  const other = Buffer.from([0x81, 0x81, ...mask, "2".charCodeAt(0) ^ 0x12]);
  conn.tcp.emit("data", other);
  conn.receiver._bufferedBytes = 5;
  conn.tcp.emit("data", pong);
  expect([conn.pongs, conn.read]).toEqual([1, [other, pong]]);
});
