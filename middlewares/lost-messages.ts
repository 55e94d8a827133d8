import type { Middleware, ServiceBroker } from "moleculer";

/** The parts of Moleculer's transit and of the NATS client that the middleware uses. */
interface Transit {
  tx: { client?: { status(): AsyncIterable<{ type: string }> } };
  pendingRequests: Map<string, { ctx: { nodeID: string | null } }>;
  removePendingRequestByNodeID(nodeID: string): void;
  sendDisconnectPacket(): Promise<void>;
}

/**
 * What was under way on a connection to NATS that broke is lost without an error: calls of this node, and its answers to
 * others. Once the node is connected again, to this NATS server or to another one, the calls that wait fail at once on
 * either side instead of at their timeout, as those to a dead node do; reads and idempotent writes are then sent again. News
 * of other nodes' services are lost, too: the node asks for them.
 */
export function lostMessages(broker: ServiceBroker): Middleware {
  async function watch(transit: Transit): Promise<void> {
    for await (const { type } of transit.tx.client?.status() ?? []) {
      if (type !== "reconnect") continue;
      const nodes = new Set([...transit.pendingRequests.values()].map(({ ctx }) => ctx.nodeID));
      for (const nodeID of nodes) if (nodeID !== null) transit.removePendingRequestByNodeID(nodeID);
      await transit.sendDisconnectPacket();
      await broker.registry.discoverer.sendLocalNodeInfo();
      await broker.registry.discoverer.discoverAllNodes();
    }
  }
  return {
    name: "LostMessages",
    async started({ transit, logger }: ServiceBroker) {
      const own = transit as unknown as Transit | null;
      if (own != null) void watch(own).catch((error: unknown) => logger.warn("NATS is not watched", error));
    },
  };
}
