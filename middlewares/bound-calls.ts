import type { Middleware, ServiceBroker } from "moleculer";
import { retryLater } from "../core/errors.ts";
import { metricsOf } from "../core/metrics.ts";

/** Calls that a node has under way at most: about as many as it answers within half a second. */
const MAX_CALLS = 512;

/**
 * Bounds the calls that a node has under way, so that it refuses what it could not answer in time instead of queueing it.
 * Calls that another action makes are not refused, because work was done for them already. Actions with a timeout of their
 * own (hashes, waits for events, bulks) have bounds of their own and are not counted.
 * @param max calls at once
 */
export const boundCalls =
  (max = MAX_CALLS) =>
  (broker: ServiceBroker): Middleware => {
    let underWay = 0;
    const end = (): void => void (underWay -= 1);
    const metrics = metricsOf(broker);
    metrics.gauge(
      "taskwire_calls_under_way",
      "Calls of actions that this node carries out now",
      [],
      () => underWay,
    );
    const refused = metrics.counter(
      "taskwire_calls_refused_total",
      "Calls refused because the node had too many under way",
    );
    return {
      name: "BoundCalls",
      localAction(next, action) {
        const { name = "", visibility, timeout } = action as typeof action & { timeout?: number };
        if (name.startsWith("$node.") || visibility === "private" || timeout !== undefined) return next;
        return function boundedCall(ctx) {
          if (ctx.caller == null && underWay >= max) {
            refused.inc();
            return Promise.reject(retryLater("overloaded", "Too many calls are under way"));
          }
          underWay += 1;
          const call = next.call(this, ctx) as Promise<unknown>;
          call.then(end, end);
          return call;
        };
      },
    };
  };
