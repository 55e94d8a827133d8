import { type Context, Errors, type Middleware, type ServiceBroker } from "moleculer";
import { isSentAgain, type Meta } from "../core/kit.ts";

/** How long a call may be silent before its node gets a ping, and how long the node has to answer it. */
const SILENCE_MS = 400;
const PING_MS = 600;
/** How late a timer may be. A process that stood still for longer can't say that others were silent. */
const LATE_MS = 200;
/** How often the node of a call that waits for long is asked again. */
const AGAIN_MS = 1000;

interface NodeNews {
  node: { id: string; instanceID: string };
}

/** Whether the called node itself answered that it has no such action, and not one that it called in turn. */
function isNotServed(error: unknown, action: string | undefined, nodeID: string): boolean {
  if (!(error instanceof Errors.ServiceNotFoundError)) return false;
  const { data } = error as { data?: { action?: string; nodeID?: string } };
  return data?.action === action && data?.nodeID === nodeID;
}

/**
 * Finds a dead node by its silence. Moleculer notices a dead node by missing heartbeats, in whole seconds; until then each
 * call to it hangs. Here a call that is silent for a moment pings its node. The node of a slow action answers, and nothing
 * happens. A dead node does not: the registry drops it and rejects the calls that wait for it, so reads are retried on
 * another node and writes get a prompt 503. A node that was only frozen returns with its next heartbeat.
 *
 * A process that starts under the name of a killed one answers pings in its place. The calls that the dead one got, or
 * nobody, are rejected when the new one says who it is, or answers that it does not serve yet: it is dropped then, until it
 * tells what it serves, or the second try would find it again.
 */
export function failureDetector(broker: ServiceBroker): Middleware {
  const asked = new Set<string>();
  /** When each node was asked last, by performance.now: many calls that wait ask once. */
  const askedAt = new Map<string, number>();

  /** Whether a node does not answer, though this process was there to hear it. */
  async function isSilent(nodeID: string): Promise<boolean> {
    const since = performance.now();
    if ((await broker.ping(nodeID, PING_MS)) !== null) return false;
    if (performance.now() - since < PING_MS + LATE_MS) return true;
    return (await broker.ping(nodeID, PING_MS)) === null;
  }

  async function ask(nodeID: string): Promise<void> {
    if (asked.has(nodeID)) return;
    asked.add(nodeID);
    askedAt.set(nodeID, performance.now());
    try {
      if (await isSilent(nodeID)) {
        broker.logger.warn(`node ${nodeID} does not answer: dropped until its next heartbeat`);
        broker.registry.nodes.disconnected(nodeID, true);
      }
    } catch (error) {
      broker.logger.warn(`node ${nodeID} could not be pinged`, error);
    } finally {
      asked.delete(nodeID);
    }
  }

  /** The process behind each node's name, by what it said last. */
  const instances = new Map<string, string>();
  function meet({ node: { id, instanceID } }: NodeNews): void {
    const before = instances.get(id);
    instances.set(id, instanceID);
    if (before !== undefined && before !== instanceID) broker.transit?.removePendingRequestByNodeID(id);
  }

  return {
    name: "FailureDetector",
    created({ localBus }: ServiceBroker) {
      // A process whose predecessor's end was noticed is connected; one whose predecessor's was not is updated.
      for (const news of ["$node.connected", "$node.updated"]) localBus.on(news, meet);
    },
    remoteAction(next) {
      return async function watchedCall(ctx: Context<unknown, Meta>) {
        // Moleculer's own count of tries stays with the caller.
        if (isSentAgain(ctx)) ctx.meta.sentAgain = true;
        const nodeID = String(ctx.nodeID);
        const again = (): void => {
          timer = setTimeout(again, AGAIN_MS);
          if (performance.now() - (askedAt.get(nodeID) ?? 0) >= SILENCE_MS) void ask(nodeID);
        };
        let timer = setTimeout(() => {
          timer = setTimeout(again, AGAIN_MS);
          void ask(nodeID);
        }, SILENCE_MS);
        try {
          return (await next.call(this, ctx)) as unknown;
        } catch (error) {
          if (isNotServed(error, ctx.action?.name, nodeID)) broker.registry.nodes.disconnected(nodeID, true);
          throw error;
        } finally {
          clearTimeout(timer);
        }
      };
    },
  };
}
