import { beforeEach, describe, expect, test } from "@jest/globals";
import type { LoggedEvent } from "../../core/events.ts";
import { until } from "../../local/until.ts";
import { Rooms } from "../../services/notifier/rooms.ts";
import type { ClientSocket } from "../../services/notifier/sockets.ts";

const STREAM = "project:1";
const MB = 1024 * 1024;

class FakeSocket {
  readonly numbers: number[] = [];
  readonly data = { streams: new Set<string>() };
  disconnected = false;
  terminated = 0;
  /** The WebSocket; its client has left so many bytes unread. */
  readonly webSocket = { bufferedAmount: 0, terminate: () => (this.terminated += 1) };
  readonly conn = {
    writeBuffer: [],
    transport: { socket: this.webSocket },
    close: () => {},
    write: (packet: string) =>
      this.numbers.push((JSON.parse(packet.slice(1)) as [string, LoggedEvent])[1].seq),
  };
}

let rooms: Rooms;
let sockets: FakeSocket[];
const as = (socket: FakeSocket) => socket as unknown as ClientSocket;
const event = (seq: number, data: object = {}): LoggedEvent => ({
  id: `event-${seq}`,
  stream: STREAM,
  seq,
  type: "task_updated",
  time: "",
  actor_id: null,
  request_id: null,
  data,
});
const send = (...numbers: number[]) => {
  for (const seq of numbers) rooms.push(STREAM, event(seq));
  rooms.flush();
};
const numbersOf = () => sockets.map(({ numbers }) => numbers);
const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

/** One socket is written in each turn. */
beforeEach(() => {
  rooms = new Rooms(0);
  sockets = Array.from({ length: 4 }, () => new FakeSocket());
  for (const socket of sockets) rooms.enter(as(socket), STREAM, 4);
});

describe("a large room", () => {
  test("is written in turns, between which others have the event loop", async () => {
    send(5);
    expect(numbersOf()).toEqual([[5], [], [], []]);
    // This pass through the event loop has had its turn.
    await nextTurn();
    expect(numbersOf()).toEqual([[5], [], [], []]);
    await nextTurn();
    expect(numbersOf()).toEqual([[5], [5], [], []]);
    expect(await until(() => numbersOf().flat().length === 4, 1000)).toBe(true);
    expect(numbersOf()).toEqual([[5], [5], [5], [5]]);
  });

  test("gives each socket all events in order, those that come between two turns too", async () => {
    send(5);
    await nextTurn();
    await nextTurn();
    send(6, 7);
    await nextTurn();
    expect(numbersOf()).toEqual([[5], [5], [5, 6, 7], []]);
    send(8);
    expect(await until(() => numbersOf().flat().length === 16, 1000)).toBe(true);
    expect(numbersOf()).toEqual(Array.from({ length: 4 }, () => [5, 6, 7, 8]));
  });

  test("of which one leaves between two turns, and one enters, which has what is under way", async () => {
    send(5);
    rooms.leave(as(sockets[2]!), STREAM);
    const late = new FakeSocket();
    rooms.enter(as(late), STREAM, 5);
    send(6);
    expect(await until(() => sockets[3]!.numbers.length === 2 && late.numbers.length === 1, 1000)).toBe(true);
    expect([numbersOf()[2], numbersOf()[3], late.numbers]).toEqual([[], [5, 6], [6]]);
  });

  test("brings one socket, or all, up to date at once", async () => {
    send(5, 6);
    rooms.settle(as(sockets[3]!), STREAM);
    expect(numbersOf()).toEqual([[5, 6], [], [], [5, 6]]);
    rooms.settleAll(STREAM);
    expect(numbersOf()).toEqual([
      [5, 6],
      [5, 6],
      [5, 6],
      [5, 6],
    ]);
    send(7);
    expect(await until(() => numbersOf().flat().length === 12, 1000)).toBe(true);
    expect(numbersOf()[1]).toEqual([5, 6, 7]);
  });

  test("sends nothing of one history after the next one has begun, at a lower number", async () => {
    send(5, 6);
    rooms.restart(STREAM, 2);
    send(3);
    expect(await until(() => numbersOf().flat().length === 6, 1000)).toBe(true);
    expect(numbersOf()).toEqual([[5, 6, 3], [3], [3], [3]]);
  });

  test("holds so many bytes of events that wait for their turns and not more", () => {
    send(5);
    for (let seq = 6; seq < 16; seq++) rooms.push(STREAM, event(seq, { text: "x".repeat(MB / 2) }));
    expect(sockets[3]!.numbers.length).toBeGreaterThan(5);
  });
});

test("two rooms take turns", async () => {
  const others = [new FakeSocket(), new FakeSocket(), new FakeSocket()];
  for (const socket of others) rooms.enter(as(socket), "project:2", 0);
  send(5);
  rooms.push("project:2", event(1));
  rooms.flush();
  const written = () => [numbersOf().flat().length, others.flatMap(({ numbers }) => numbers).length];
  // Both flushes share the turn that the first one used.
  expect(written()).toEqual([1, 0]);
  for (let turn = 0; turn < 5; turn++) await nextTurn();
  expect(written()).toEqual([3, 2]);
});

test("a client that does not read is cut off when more than 16 MB wait for it, and its room goes on", async () => {
  sockets[1]!.webSocket.bufferedAmount = 17 * MB;
  send(5);
  expect(await until(() => sockets[3]!.numbers.length === 1, 1000)).toBe(true);
  expect(sockets.map(({ terminated }) => terminated)).toEqual([0, 1, 0, 0]);
});

test("a room without sockets is forgotten, and whoever is gone enters none", () => {
  for (const socket of sockets) rooms.leaveAll(as(socket));
  expect(rooms.has(STREAM)).toBe(false);
  const gone = Object.assign(new FakeSocket(), { disconnected: true });
  rooms.enter(as(gone), STREAM, 4);
  expect(rooms.has(STREAM)).toBe(false);
});
