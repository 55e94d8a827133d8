import { setTimeout as delay } from "node:timers/promises";

/** Waits for `work`, but no longer than `ms` milliseconds: then it goes on by itself. */
export async function atMost(ms: number, work: Promise<void>): Promise<void> {
  const late = new AbortController();
  await Promise.race([work, delay(ms, undefined, { signal: late.signal }).catch(() => {})]).finally(() =>
    late.abort(),
  );
}
