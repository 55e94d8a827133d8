import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { clusterNodes, type Ports, type Sizes } from "./cluster-layout.ts";
import { ProcessGroup } from "./process-group.ts";

export interface ClusterUrls {
  DATABASE_URL: string;
  NATS_URL: string;
  REDIS_URL: string;
}

interface Options {
  /** The destination of the nodes' lines. */
  out: ConstructorParameters<typeof ProcessGroup>[0]["out"];
  /** How many nodes there are of each kind that has no ports. */
  sizes?: Partial<Sizes>;
  /** Added to every node's environment, such as LOG_LEVEL; without a JWT_SECRET the nodes share one made for this run. */
  env?: Record<string, string>;
  /** Called every 5 s with the nodes that do not serve yet. */
  onWait?: (nodes: string[]) => void;
  /** Gets the group before its first node starts, for a caller that may have to end it meanwhile. */
  own?: (group: ProcessGroup) => void;
  /** Aborts the start. */
  signal?: AbortSignal;
}

/** How long the nodes have to start. */
const START_MS = 60_000;
/** How often a slow start reports the nodes that it waits for. */
const REPORT_MS = 5000;

/**
 * Starts the nodes of a cluster and waits until all of them serve.
 * @throws when a node ends, or does not serve within 60 s; then none is left
 */
export async function startCluster(
  urls: ClusterUrls,
  ports: Ports,
  { out, sizes = {}, env = {}, onWait = () => {}, own = () => {}, signal }: Options,
): Promise<{
  group: ProcessGroup;
  nodes: Record<string, Record<string, string>>;
  /** What all nodes have in common: a further node joins by it. */
  shared: Record<string, string>;
}> {
  const shared = {
    JWT_SECRET: process.env.JWT_SECRET ?? randomBytes(32).toString("base64url"),
    NAMESPACE: `taskwire-${randomBytes(4).toString("hex")}`,
    ...urls,
    ...env,
  };
  const group = new ProcessGroup({
    command: process.execPath,
    args: [fileURLToPath(new URL("../main.ts", import.meta.url))],
    out,
  });
  own(group);
  const nodes = Object.fromEntries(
    Object.entries(clusterNodes(ports, sizes)).map(([name, node]) => [
      name,
      { ...shared, ...node, NODE_ID: name },
    ]),
  );
  const waitsFor = new Set(Object.keys(nodes));
  const { promise: failed, reject: fail } = Promise.withResolvers<never>();
  const ready = Object.entries(nodes).map(([name, node]) => {
    const child = group.start({ name, env: node });
    child.once("exit", () =>
      fail(new Error(`the node ${name} ended before it was ready: its lines above say why`)),
    );
    return new Promise<void>((resolve) => {
      child.once("message", () => {
        waitsFor.delete(name);
        resolve();
      });
    });
  });
  const tooLate = setTimeout(
    () =>
      fail(
        new Error(
          `${[...waitsFor].join(", ")} did not start within ${START_MS / 1000} s: the lines above say why`,
        ),
      ),
    START_MS,
  );
  const abort = (): void => fail(new Error("the start was aborted"));
  signal?.addEventListener("abort", abort);
  const waiting = setInterval(() => onWait([...waitsFor]), REPORT_MS);
  try {
    await Promise.race([Promise.all(ready), failed]);
  } catch (error) {
    await group.stopAll();
    throw error;
  } finally {
    clearTimeout(tooLate);
    clearInterval(waiting);
    signal?.removeEventListener("abort", abort);
  }
  return { group, nodes, shared };
}
