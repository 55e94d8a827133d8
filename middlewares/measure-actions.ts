import type { Middleware, ServiceBroker } from "moleculer";
import { metricsOf } from "../core/metrics.ts";

/** A refusal is the caller's fault: 4xx. */
const outcomeOf = (error: unknown): "refused" | "failed" => {
  const { code } = (error ?? {}) as { code?: unknown };
  return typeof code === "number" && code >= 400 && code < 500 ? "refused" : "failed";
};

/**
 * Measures each action on the node that has it, so that no call counts twice. Moleculer's own metrics would cost five
 * times as much (docs/decisions.md). The gateway measures its requests by their route instead.
 */
export function measureActions(broker: ServiceBroker): Middleware {
  const seconds = metricsOf(broker).histogram(
    "taskwire_action_duration_seconds",
    "Calls of actions on the node that has them",
    ["action", "outcome"],
  );
  return {
    name: "MeasureActions",
    localAction(next, { name: action = "", service }) {
      if (action.startsWith("$node.") || service?.name === "api-gateway") return next;
      return async function measuredAction(ctx) {
        const began = performance.now();
        let outcome: "done" | "refused" | "failed" = "done";
        try {
          return (await next.call(this, ctx)) as unknown;
        } catch (error) {
          outcome = outcomeOf(error);
          throw error;
        } finally {
          seconds.observe({ action, outcome }, (performance.now() - began) / 1000);
        }
      };
    },
  };
}
