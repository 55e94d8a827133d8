import { setTimeout as delay } from "node:timers/promises";

/** What one look counts at most: a machine that others use too may stop this process for seconds. */
const LONGEST_LOOK_MS = 250;

/** Polls until `condition` holds; false once it was looked for `ms` milliseconds in vain. */
export async function until(condition: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  let left = ms;
  for (let last = performance.now(); !(await condition());) {
    if (left < 0) return false;
    await delay(5);
    const now = performance.now();
    left -= Math.min(now - last, LONGEST_LOOK_MS);
    last = now;
  }
  return true;
}
