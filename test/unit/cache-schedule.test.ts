import { afterEach, beforeEach, expect, jest, test } from "@jest/globals";
import { playCacheSchedule } from "../support/cache-schedule.ts";

const RUNS = 80;

beforeEach(() => {
  jest.useFakeTimers({ doNotFake: ["nextTick", "setImmediate", "queueMicrotask"] });
});
afterEach(() => {
  jest.clearAllTimers();
  jest.useRealTimers();
});

test("whatever dies, restarts or comes late: who reads after a write was answered sees it", async () => {
  let hits = 0;
  const stale: string[] = [];
  for (let seed = 1; seed <= RUNS; seed++) {
    const outcome = await playCacheSchedule(seed, (ms) => jest.advanceTimersByTime(ms));
    hits += outcome.hits;
    stale.push(...outcome.stale);
  }
  expect(stale).toEqual([]);
  // The cache was in use.
  expect(hits).toBeGreaterThan(5 * RUNS);
});
