/** How soon writes went on after Postgres was taken away. */
import type { Histories } from "./histories.ts";
import type { FaultSpan, Recording, Time } from "./recording.ts";

export interface Outage {
  fault: FaultSpan;
  /** Milliseconds from the beginning of the fault until Postgres could be reached again. */
  away: number;
  /** Milliseconds from the beginning until a write that was committed after that was acknowledged; null when none was. */
  firstWrite: number | null;
}

/** The outages of a run. What Postgres committed in the moment of its death, and a client learnt later, ends none. */
export function outagesOf(
  { calls, faults }: Pick<Recording, "calls" | "faults">,
  histories: Histories,
): Outage[] {
  // What a write leaves to be tidied may be committed long after its answer.
  const committed = new Map<string, Time>();
  for (const { streams } of histories.all)
    for (const rows of streams.values())
      for (const { request_id: id, committed: at } of rows.values())
        if (id !== null) committed.set(id, Math.min(at, committed.get(id) ?? Infinity));
  const writes = calls
    .filter(({ id, outcome }) => outcome === "ok" && committed.has(id))
    .sort((a, b) => a.ended - b.ended);

  return faults.flatMap((fault) => {
    const { began, reachable } = fault;
    if (reachable === undefined) return [];
    const first = writes.find(({ id }) => (committed.get(id) as Time) >= reachable);
    return [{ fault, away: reachable - began, firstWrite: first ? first.ended - began : null }];
  });
}
