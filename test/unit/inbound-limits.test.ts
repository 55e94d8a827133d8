import { EventEmitter } from "node:events";
import { describe, expect, test } from "@jest/globals";
import { limitInbound, MAX_HANDSHAKE_BYTES } from "../../services/notifier/inbound-limits.ts";
import { TokenBucket } from "../../services/notifier/token-bucket.ts";

class FakeConnection extends EventEmitter {
  closed = 0;
  readonly transport;
  readonly bodies: string[] = [];

  constructor(name: "polling" | "websocket" = "websocket") {
    super();
    const socket = Object.assign(new EventEmitter(), { terminate: () => {} });
    this.transport = { name, socket, onData: (body: string) => void this.bodies.push(body) };
    limitInbound(this as never);
  }

  close(): void {
    this.closed += 1;
  }

  /** @returns whether the client was cut off */
  takes(...frames: unknown[]): boolean {
    for (const data of frames) this.emit("packet", { type: "message", data });
    return this.closed === 0;
  }
}

const OPENING = '0{"token":"t"}';
const name = (at: number) => `project:0198c0de-0000-7000-8000-${String(at).padStart(12, "0")}`;
const names = Array.from({ length: 5000 }, (_, at) => name(at));
const longest = `0${JSON.stringify({
  token: "t".repeat(500),
  streams: names,
  cursors: Object.fromEntries(
    names.map((stream) => [stream, { seq: 123_456, id: "0198c0de-0000-7000-8000-000000000000" }]),
  ),
})}`;

describe("the frame that opens a socket", () => {
  test("may name as many streams and cursors as a socket has room for", () => {
    expect(longest.length).toBeLessThan(MAX_HANDSHAKE_BYTES);
    expect(new FakeConnection().takes(OPENING)).toBe(true);
    expect(new FakeConnection().takes(longest)).toBe(true);
  });

  test.each([
    ["an event", '2["hello"]'],
    ["bytes", Buffer.from("0{}")],
    ["what is too long", `0{"a":"${"x".repeat(MAX_HANDSHAKE_BYTES)}"}`],
    ["what is deep", `0{"a":${"[".repeat(10_000)}${"]".repeat(10_000)}}`],
    ["what is deep in objects", `0${'{"a":'.repeat(10_000)}1${"}".repeat(10_000)}`],
    ["what has too many names", `0{${'"a":1,'.repeat(100_000)}"b":1}`],
  ])("is not %s", (_, frame) => {
    expect(new FakeConnection().takes(frame)).toBe(false);
  });
});

describe("a frame after that", () => {
  test.each([
    ["one more CONNECT", OPENING],
    ["bytes", Buffer.from("x")],
    ["a long one", `2["hello","${"x".repeat(20_000)}"]`],
  ])("is not %s", (_, frame) => {
    expect(new FakeConnection().takes(OPENING, frame)).toBe(false);
  });

  test("costs a budget, a long one more", () => {
    const frames = (count: number, length: number) =>
      Array.from({ length: count }, () => `2["hello","${"x".repeat(length)}"]`);
    expect(new FakeConnection().takes(OPENING, ...frames(150, 10))).toBe(true);
    expect(new FakeConnection().takes(OPENING, ...frames(250, 10))).toBe(false);
    expect(new FakeConnection().takes(OPENING, ...frames(20, 15_000))).toBe(false);
  });

  test.each<[string, "polling" | "websocket", (conn: FakeConnection) => void]>([
    ["pongs", "websocket", (conn) => conn.emit("packet", { type: "pong" })],
    ["a WebSocket's pings", "websocket", (conn) => conn.transport.socket.emit("ping")],
    ["probes of a WebSocket", "polling", (conn) => conn.emit("upgrading", {})],
  ])("of the transport costs too: %s", (_, transport, send) => {
    const conn = new FakeConnection(transport);
    for (let n = 0; n < 150; n++) send(conn);
    expect(conn.closed).toBe(0);
    for (let n = 0; n < 150; n++) send(conn);
    expect(conn.closed).toBeGreaterThan(0);
  });
});

test("a polled body holds so many packets and not more", () => {
  const conn = new FakeConnection("polling");
  conn.transport.onData(["4a", "4b"].join("\x1e"));
  expect([conn.bodies, conn.closed]).toEqual([["4a\x1e4b"], 0]);
  conn.transport.onData("4\x1e".repeat(1000));
  expect([conn.bodies.length, conn.closed]).toEqual([1, 1]);
});

test("a bucket refills with time, and never beyond what it holds", () => {
  const bucket = new TokenBucket(0);
  expect(bucket.spend(200, 0)).toBe(true);
  expect(bucket.spend(1, 0)).toBe(false);
  expect(bucket.spend(40, 1000)).toBe(true);
  expect(bucket.spend(200, 1_000_000)).toBe(true);
  expect(bucket.spend(1, 1_000_000)).toBe(false);
});
