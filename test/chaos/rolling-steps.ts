/** What clients noticed of each step of a rollout. */
import { isFailed } from "./check-writes.ts";
import type { Findings } from "./findings.ts";
import type { Call, FaultSpan, Recording, Signal, Time } from "./recording.ts";
import { KILLED, RESTARTED } from "./rolling.ts";
import { DRAIN_S } from "./topology.ts";

export interface Step {
  fault: FaultSpan;
  calls: Call[];
  failed: Call[];
  /** Milliseconds from the beginning until each socket that was closed lost its connection. */
  closed: number[];
  /** Milliseconds from the loss of a socket's connection until all of its streams were live again. */
  back: number[];
  /** Sockets that did not come back. */
  away: number;
}

/** A client waits up to a second and a half for its first attempts, and a busy machine takes its time. */
const BACK_WITHIN_MS = 5000;
/** Over which a stopping notifier closes its sockets, and what it may add to that. */
const SPREAD_MS = DRAIN_S * 1000 + 1500;

/** Closings of sockets whose session or token had not ended. */
function lossesOf(signals: Signal[]): { at: Time; client: string; back: Time | null }[] {
  const sockets = new Set(
    signals.flatMap((one) =>
      one.kind === "opened" && /^(websocket|polling)$/.test(one.transport) ? one.client : [],
    ),
  );
  const clients = new Map<string, Signal[]>();
  for (const signal of signals) {
    if (!sockets.has(signal.client)) continue;
    const own = clients.get(signal.client);
    if (own === undefined) clients.set(signal.client, [signal]);
    else own.push(signal);
  }
  return [...clients].flatMap(([client, own]) =>
    own.flatMap((signal, at) => {
      const isEnd = own.slice(Math.max(0, at - 3), at).some(({ kind }) => kind === "dismissed");
      if (signal.kind !== "closed" || isEnd) return [];
      const back = own.slice(at).find(({ kind }) => kind === "ready")?.at ?? null;
      return { at: signal.at, client, back };
    }),
  );
}

/** The steps of a recording; none of a run without a rollout. */
export function stepsOf({ calls, faults, signals }: Recording): Step[] {
  const steps = faults.filter(({ name }) => name === RESTARTED || name === KILLED);
  if (steps.length === 0) return [];
  const losses = lossesOf(signals);
  return steps.map((fault, at) => {
    const until = steps[at + 1]?.began ?? Infinity;
    const isOfStep = (time: Time): boolean => time >= fault.began && time < until;
    const own = calls.filter((call) => call.ended >= fault.began && call.began < until);
    const lost = losses.filter((loss) => isOfStep(loss.at));
    return {
      fault,
      calls: own,
      failed: own.filter((call) => isFailed(call) && isOfStep(call.ended)),
      closed: lost.map((loss) => loss.at - fault.began),
      back: lost.flatMap((loss) => (loss.back === null ? [] : loss.back - loss.at)),
      away: lost.filter(({ back }) => back === null).length,
    };
  });
}

/** A restart by SIGTERM fails no request, and every socket comes back soon. */
export function checkSteps(steps: Step[], findings: Findings): void {
  for (const { fault, failed, closed, back, away } of steps) {
    const where = `${fault.name} ${fault.target}`;
    for (const { action, status, code } of fault.name === RESTARTED ? failed : [])
      findings.add("failed_in_restart", `${action} ${status ?? "cut"} ${code ?? ""}: ${where}`);
    for (const ms of back)
      if (ms > BACK_WITHIN_MS) findings.add("slow_return", `back after ${Math.round(ms)} ms: ${where}`);
    if (away > 0) findings.add("slow_return", `${away} sockets never came back: ${where}`, away);
    if (fault.name === RESTARTED && closed.some((ms) => ms > SPREAD_MS))
      findings.add("slow_return", `closed after ${Math.round(Math.max(...closed))} ms: ${where}`);
  }
}
