/** A rollout, and the death of each node: what comes one after another in a run of `npm run rolling`. */
import { setTimeout as delay } from "node:timers/promises";
import type { FaultSpan } from "./recording.ts";
import type { Topology } from "./topology.ts";

/** The names of the steps: SIGTERM and a start, or SIGKILL and a start. */
export const RESTARTED = "SIGTERM";
export const KILLED = "SIGKILL";

/** Milliseconds between two steps; that a killed node is away, as until Kubernetes starts it again; and a NATS server. */
const [REST_MS, NODE_AWAY_MS, NATS_AWAY_MS] = [3000, 1000, 5000];

/** Restarts every node, one after another, then kills each, and at last one server of NATS. */
export async function runRolling(
  topology: Topology,
  { signal, onFault }: { signal: AbortSignal; onFault: (span: FaultSpan) => void },
): Promise<void> {
  async function step(name: string, target: string, work: () => Promise<void>): Promise<void> {
    if (signal.aborted) return;
    const span = { name, target, began: Date.now(), ended: Infinity, isBounded: true };
    onFault(span);
    try {
      await work();
    } finally {
      span.ended = Date.now();
    }
    await delay(REST_MS, undefined, { signal }).catch(() => {});
  }

  const nodes = [...topology.nodes.keys()];
  await delay(REST_MS, undefined, { signal }).catch(() => {});
  for (const node of nodes)
    await step(RESTARTED, node, async () => {
      await topology.endNode(node, "SIGTERM");
      await topology.startNode(node);
    });
  for (const node of nodes)
    await step(KILLED, node, async () => {
      await topology.endNode(node, "SIGKILL");
      await delay(NODE_AWAY_MS);
      await topology.startNode(node);
    });
  const [nats] = topology.nats;
  await step(KILLED, "nats-1", async () => {
    await nats?.kill();
    await delay(NATS_AWAY_MS);
    await nats?.restart();
  });
}
