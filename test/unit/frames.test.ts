import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { forgetFrame, holdWrites, releaseWrites, tell } from "../../services/notifier/frames.ts";

/** engine.io's side of a WebSocket, as far as it is asked here. */
class FakeConnection {
  readonly tcp = new PassThrough();
  readonly receiver: { _state: number; _mask?: Buffer | undefined } = { _state: 0, _mask: Buffer.alloc(4) };
  readonly transport = {
    name: "websocket",
    socket: { readyState: 1, _socket: this.tcp, _receiver: this.receiver },
  };
  readonly server = {};
  readyState = "open";
  writeBuffer: object[] = [];

  /** What has left by now, without the heads of frames. */
  left(): string[] {
    return [...String(this.tcp.read() ?? "").matchAll(/\["(\w+)"/g)].map(([, name = ""]) => name);
  }
}

const conn = (): FakeConnection => new FakeConnection();
const as = (fake: FakeConnection) => fake as never;
const ready = { streams: {} };

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test("what is held back leaves when it is released, and what follows leaves at once", () => {
  const fake = conn();
  holdWrites(as(fake));
  tell(as(fake), "ready", ready);
  expect(fake.left()).toEqual([]);
  releaseWrites(as(fake));
  expect(fake.left()).toEqual(["ready"]);
  tell(as(fake), "ready", ready);
  expect(fake.left()).toEqual(["ready"]);
  expect(jest.getTimerCount()).toBe(0);
});

test("writes are not held back for long, by whatever nobody releases", () => {
  const fake = conn();
  holdWrites(as(fake));
  tell(as(fake), "ready", ready);
  jest.advanceTimersByTime(100);
  expect(fake.left()).toEqual(["ready"]);
  // Released already: the next hold is not cut short by it.
  releaseWrites(as(fake));
  holdWrites(as(fake));
  tell(as(fake), "ready", ready);
  expect(fake.left()).toEqual([]);
});

test("a mask is forgotten between two frames, and kept within one", () => {
  const [between, within] = [conn(), conn()];
  within.receiver._state = 4;
  for (const fake of [between, within]) forgetFrame(as(fake));
  expect([between.receiver._mask, within.receiver._mask?.length]).toEqual([undefined, 4]);
});
