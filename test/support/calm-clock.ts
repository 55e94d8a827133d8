/**
 * A clock for tests of promises that bound time ("within a second"). It stands still while this process does: a machine that
 * others use too stops everything for seconds at times, and no promise is about that.
 */
import { afterAll, beforeAll } from "@jest/globals";

const TICK_MS = 10;
/** What the clock goes on at most from one tick to the next. */
const MOST_MS = 50;

let counted = 0;
let last = performance.now();
let ticking: NodeJS.Timeout | undefined;

/** Milliseconds since the test file began, without those in which this process was stopped. */
export function calmNow(): number {
  const now = performance.now();
  counted += Math.min(now - last, MOST_MS);
  last = now;
  return counted;
}

beforeAll(() => {
  ticking = setInterval(calmNow, TICK_MS).unref();
});
afterAll(() => clearInterval(ticking));
