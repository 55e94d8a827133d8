const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h)/g;

/**
 * A duration as k6 writes it: `1m30s`, `500ms`, or a number of milliseconds.
 * @returns milliseconds
 * @throws Error for any other text
 */
export function milliseconds(duration: string | number): number {
  if (typeof duration === "number") return duration;
  const parts = [...duration.matchAll(PART)];
  if (duration === "" || parts.map(([part]) => part).join("") !== duration)
    throw new Error(`"${duration}" is not a duration such as 1m30s`);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNITS[unit as keyof typeof UNITS], 0);
}

/** Milliseconds for people, in the unit that k6's summary takes: `12.3ms`, `1.25s`, `3m0s`. */
export function readable(ms: number): string {
  const short = (value: number): string => String(Number(value.toFixed(2)));
  if (ms === 0) return "0s";
  if (ms < 1) return `${short(ms * 1000)}µs`;
  if (ms < 1000) return `${short(ms)}ms`;
  if (ms < 60_000) return `${short(ms / 1000)}s`;
  return `${Math.floor(ms / 60_000)}m${Math.round((ms % 60_000) / 1000)}s`;
}
