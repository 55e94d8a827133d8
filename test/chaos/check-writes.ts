/** Each write happened once, as it was answered; the log has no holes. */
import type { Findings } from "./findings.ts";
import { faultsOf, type Histories } from "./histories.ts";
import type { Call, Recording } from "./recording.ts";

/** How a write ended for its client: attempts that were cut are tried again with the same key. */
function finalOutcome(attempts: Call[]): Call["outcome"] {
  const outcomes = attempts.map(({ outcome }) => outcome);
  return outcomes.includes("ok") ? "ok" : (outcomes.at(-1) ?? "unknown");
}

export function checkWrites(recording: Recording, histories: Histories, findings: Findings): void {
  const writes = new Map<string, Call[]>();
  for (const call of recording.calls) writes.set(call.id, [...(writes.get(call.id) ?? []), call]);

  const logged = new Map<string, number>();
  for (const { streams } of histories.all)
    for (const rows of streams.values())
      for (const { request_id, stream, type } of rows.values()) {
        const write = request_id === null ? undefined : writes.get(request_id);
        if (request_id === null || write === undefined) continue;
        logged.set(request_id, 0);
        if (write[0]?.makesMany !== true && histories.last.streams === streams)
          countOnce(`${request_id} ${stream} ${type}`);
      }

  function countOnce(key: string): void {
    const times = (logged.get(key) ?? 0) + 1;
    logged.set(key, times);
    if (times > 1) findings.add("doubled", key);
  }

  for (const [id, attempts] of writes) {
    const [first] = attempts as [Call];
    const outcome = finalOutcome(attempts);
    if (outcome === "ok" && first.leavesEvent && !logged.has(id))
      findings.add("acknowledged_gone", `${first.action} ${id}`);
    // An attempt that was cut may have written; a refusal after it is its successor's.
    const allRefused = attempts.every((call) => call.outcome === "refused");
    if (allRefused && logged.has(id))
      findings.add("refused_written", `${first.action} ${id} ${first.status}`);
  }

  const titles = new Map<string, number>();
  for (const { title } of recording.state.tasks) titles.set(title, (titles.get(title) ?? 0) + 1);
  for (const [title, count] of titles)
    if (count > 1) findings.add("doubled", `${count} tasks are named ${title}`, count - 1);

  for (const [stream, head] of Object.entries(recording.state.heads)) {
    const rows = histories.last.streams.get(stream);
    for (let seq = 1; seq <= head; seq++)
      if (rows?.has(seq) !== true) findings.add("holes", `${stream} has no #${seq}`);
  }

  for (const call of recording.calls)
    if (isFailed(call) && faultsOf(recording, call).length === 0)
      findings.add("failed_without_fault", `${call.action} ${call.status ?? "cut"} ${call.code ?? ""}`);
}

/** Rows that no event tells of are as the last write left them, unless writes overlapped it or were not answered. */
export function checkRows({ calls, state, faults }: Recording, findings: Findings): void {
  // A restore may take any write before it back.
  const since = Math.max(0, ...faults.flatMap(({ rewritesLog, ended }) => (rewritesLog ? [ended] : [])));
  const writes = new Map<string, Call[]>();
  for (const call of calls)
    if (call.row !== undefined && call.outcome !== "refused")
      writes.set(call.row.name, [...(writes.get(call.row.name) ?? []), call]);
  for (const [name, attempts] of writes) {
    const last = attempts.filter(({ outcome }) => outcome === "ok").at(-1);
    if (last === undefined || last.began < since) continue;
    const expected = attempts.filter((call) => call.ended >= last.began).map(({ row }) => row?.state);
    if (!expected.includes(state.rows[name] ?? null))
      findings.add("rows_differ", `${last.action}: ${name} is ${state.rows[name] ?? "gone"}`);
  }
  const kept = new Set(state.secrets);
  for (const { action, outcome, redacts, began } of calls)
    if (outcome === "ok" && redacts !== undefined && began >= since && kept.has(redacts))
      findings.add("unredacted", `${action}: the database has ${redacts}`);
}

export const isFailed = ({ outcome }: Call): boolean => outcome === "failed" || outcome === "unknown";
