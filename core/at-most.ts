import { setTimeout as delay } from "node:timers/promises";

/** Waits for `work`, at most `ms` milliseconds; work that takes longer goes on by itself. */
export async function atMost(ms: number, work: Promise<void>): Promise<void> {
  const late = new AbortController();
  await Promise.race([work, delay(ms, undefined, { signal: late.signal }).catch(() => {})]).finally(() =>
    late.abort(),
  );
}
