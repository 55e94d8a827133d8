import type { Middleware, ServiceBroker } from "moleculer";

/** Milliseconds that a call may be silent before its node is asked whether it lives, and that it has to answer. */
const SUSPECT_AFTER = 400;
const ANSWER_WITHIN = 600;

/**
 * Finds a dead node by its silence. Moleculer notices one by missing heartbeats, in whole seconds; until then each
 * call to it hangs. Here a call that is silent for a moment makes us ping its node: a slow action's node answers and
 * nothing happens, a dead one does not and is dropped from the registry, which rejects all that waits for it, so that
 * reads are tried elsewhere and the rest gets a prompt 503. A node that was only frozen is back with its next heartbeat.
 */
export function failureDetector(broker: ServiceBroker): Middleware {
  const asked = new Set<string>();

  async function ask(nodeID: string): Promise<void> {
    if (asked.has(nodeID)) return;
    asked.add(nodeID);
    try {
      if ((await broker.ping(nodeID, ANSWER_WITHIN)) === null) {
        broker.logger.warn(`node ${nodeID} does not answer: dropped until its next heartbeat`);
        broker.registry.nodes.disconnected(nodeID, true);
      }
    } catch (error) {
      broker.logger.warn(`node ${nodeID} could not be asked`, error);
    } finally {
      asked.delete(nodeID);
    }
  }

  return {
    name: "FailureDetector",
    remoteAction(next) {
      return async function watchedCall(ctx) {
        const timer = setTimeout(() => void ask(String(ctx.nodeID)), SUSPECT_AFTER);
        try {
          return (await next.call(this, ctx)) as unknown;
        } finally {
          clearTimeout(timer);
        }
      };
    },
  };
}
