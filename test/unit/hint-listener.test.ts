import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { ServiceBroker } from "moleculer";
import { until } from "../../local/until.ts";
import { isHeard } from "../../core/kit.ts";
import { committed, emitCommitted } from "../../mixins/event-log.ts";
import { HintListener, LISTENER } from "../../services/notifier/hint-listener.ts";
import { idOf } from "./fixtures.ts";

let broker: ServiceBroker;
let listener: HintListener;
let heard: (readonly string[])[];
/** Milliseconds that the clock was put forward. */
let ahead: number;

/** Whether hints get here, once what was begun has ended. */
const hears = async (isExpected: boolean): Promise<boolean> => {
  await until(() => isHeard(broker, committed) === isExpected, 1000);
  return isHeard(broker, committed);
};

const commit = () =>
  emitCommitted(broker, [
    {
      id: idOf("a"),
      previous_id: null,
      stream: "project:p",
      seq: 1,
      type: "task_created",
      time: "2026-11-21T09:30:00.000Z",
      actor_id: null,
      request_id: null,
      data: {},
    },
  ]);

beforeEach(async () => {
  ahead = 0;
  heard = [];
  const now = performance.now.bind(performance);
  jest.spyOn(performance, "now").mockImplementation(() => now() + ahead);
  broker = new ServiceBroker({ logger: false });
  const notifier = broker.createService({ name: "notifier" });
  await broker.start();
  listener = new HintListener(notifier, ({ streams }) => void heard.push(streams));
});
afterEach(async () => {
  jest.restoreAllMocks();
  await broker.stop();
});

test("a notifier hears hints once it follows a stream", async () => {
  commit();
  expect(await hears(false)).toBe(false);
  listener.listen();
  expect(await hears(true)).toBe(true);
  listener.listen();
  commit();
  expect(await until(() => heard.length > 0, 1000)).toBe(true);
  expect(heard).toEqual([["project:p"]]);
});

test("it stops a minute after it has followed the last one", async () => {
  listener.listen();
  expect(await hears(true)).toBe(true);
  ahead = 40_000;
  listener.endUnless(true);
  ahead = 90_000;
  listener.endUnless(false);
  expect(await hears(true)).toBe(true);
  ahead = 101_000;
  listener.endUnless(false);
  expect(await hears(false)).toBe(false);
});

test("one that follows a stream while it stops hears hints in the end", async () => {
  listener.listen();
  expect(await hears(true)).toBe(true);
  const service = broker.getLocalService(LISTENER);
  ahead = 61_000;
  listener.endUnless(false);
  listener.listen();
  listener.endUnless(true);
  expect(await until(() => broker.getLocalService(LISTENER) !== service, 1000)).toBe(true);
  expect(await hears(true)).toBe(true);
});
