import { setTimeout as delay } from "node:timers/promises";
import { FAULTS, type FaultKind, type Site } from "./faults.ts";
import type { FaultSpan } from "./recording.ts";

/** Milliseconds that faults last, and that lie between them. */
const LASTS_MS = [1000, 6000] as const;
const REST_MS = [1500, 4000] as const;
/** How often two faults are there at a time. */
const PAIRS = 0.3;

/** Whether two faults can be there at a time. */
const areApart = (a: FaultKind, b: FaultKind): boolean =>
  a.group !== b.group && ![a, b].some(({ group }) => group === "all nodes");

/** Breaks one or two things at a time, as the seed says, until the run is over; all of them are mended then. */
export async function runFaults(
  site: Site,
  names: string[],
  {
    isOver,
    signal,
    onFault,
  }: { isOver: () => boolean; signal: AbortSignal; onFault: (span: FaultSpan) => void },
): Promise<void> {
  const { random } = site;
  const pickOf = (candidates: string[]): string =>
    random.weighted(Object.fromEntries(candidates.map((name) => [name, (FAULTS[name] as FaultKind).weight])));
  while (names.length > 0 && !isOver() && !signal.aborted) {
    await delay(random.whole(...REST_MS));
    const first = pickOf(names);
    const others = names.filter((name) => areApart(FAULTS[first] as FaultKind, FAULTS[name] as FaultKind));
    const chosen = others.length > 0 && random.next() < PAIRS ? [first, pickOf(others)] : [first];
    const lasts = chosen.map(() => random.whole(...LASTS_MS));
    if (isOver() || signal.aborted) return;
    await Promise.all(chosen.map((name, at) => runFault(name, lasts[at] as number)));
  }

  async function runFault(name: string, lastsMs: number): Promise<void> {
    const kind = FAULTS[name] as FaultKind;
    // With numbers of its own: how many it draws does not move what comes after it.
    const fault = kind.make({ ...site, random: random.fork() });
    const { isBounded, isBoundedOverHttp = isBounded, isOutage = false, rewritesLog = false } = kind;
    await fault.prepare?.();
    const span: FaultSpan = {
      name,
      target: fault.target,
      began: Date.now(),
      ended: Infinity,
      isBounded,
      isBoundedOverHttp,
      rewritesLog,
    };
    onFault(span);
    try {
      await fault.begin();
      if (isOutage) span.reachable = Date.now();
      await delay(lastsMs, undefined, { signal }).catch(() => {});
    } finally {
      await fault.end();
      span.ended = Date.now();
    }
  }
}
