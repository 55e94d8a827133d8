import { setTimeout as delay } from "node:timers/promises";

/** Polls until `condition` holds; false once `ms` milliseconds have passed without it. */
export async function until(condition: () => boolean | Promise<boolean>, ms: number): Promise<boolean> {
  const deadline = performance.now() + ms;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await delay(5);
  }
  return true;
}
