import type { Findings } from "./findings.ts";
import { faultsBetween, type Histories, isBoundedFor, SLACK_MS } from "./histories.ts";
import type { FaultSpan, Recording, Time, Transport } from "./recording.ts";

/** Milliseconds that a frame may be late when a broker or a node has just died. */
const LATE_MS = 2000;

/** What was broken, for a row of a table. */
export const namesOf = (faults: FaultSpan[]): string =>
  faults.length === 0 ? "none" : [...new Set(faults.map(({ name }) => name))].sort().join(" + ");

/**
 * Milliseconds from commit to receipt, by fault, of frames whose subscriber was live when they were committed. A frame
 * beyond the promise is late, unless a fault lasted in which nothing bounds it.
 */
export function checkLateness(
  recording: Recording,
  histories: Histories,
  findings: Findings,
): Map<string, number[]> {
  const live = new Map<string, Time>();
  const times = new Map<string, number[]>();
  const transports = new Map<string, Transport>();
  for (const signal of recording.signals) {
    const key = (stream: string): string => `${signal.client}/${signal.connection} ${stream}`;
    if (signal.kind === "opened") transports.set(signal.client, signal.transport);
    if (signal.kind === "ready")
      for (const stream of Object.keys(signal.streams)) live.set(key(stream), signal.at);
    if (signal.kind !== "event") continue;
    const since = live.get(key(signal.stream));
    const committed = histories.find(signal.stream, signal.id)?.row.committed;
    if (since === undefined || committed === undefined || committed < since) continue;
    const late = signal.at - committed;
    const transport = transports.get(signal.client) ?? "websocket";
    const faults = faultsBetween(recording, [committed, signal.at], transport);
    const name = namesOf(faults);
    const list = times.get(name);
    if (list === undefined) times.set(name, [late]);
    else list.push(late);
    if (late > LATE_MS + SLACK_MS && faults.every((fault) => isBoundedFor(fault, transport)))
      findings.add("late", `${key(signal.stream)} #${signal.seq}: ${Math.round(late)} ms, fault ${name}`);
  }
  return times;
}
