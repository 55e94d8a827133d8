import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { ProcessGroup } from "./process-group.ts";

export interface ClusterUrls {
  DATABASE_URL: string;
  NATS_URL: string;
  REDIS_URL: string;
}

export interface Ports {
  gateway: number;
  notifiers: [number, number];
  /** The first of the ports at which the nodes serve their metrics, one each; 0 turns them off. */
  ops?: number;
}

interface Options {
  /** The destination of the nodes' lines. */
  out: ConstructorParameters<typeof ProcessGroup>[0]["out"];
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
 * The nodes of a small cluster: a process for each service, and two for tasks and notifier, so that a person or a test can
 * kill one of either.
 */
export function clusterNodes({ gateway, notifiers, ops = 0 }: Ports): Record<string, Record<string, string>> {
  const nodes: Record<string, Record<string, string>> = {
    gateway: { SERVICES: "api-gateway", PORT: String(gateway) },
    auth: { SERVICES: "auth" },
    users: { SERVICES: "users,mailer,jobs" },
    projects: { SERVICES: "projects" },
    "tasks-1": { SERVICES: "tasks" },
    "tasks-2": { SERVICES: "tasks" },
    "notifier-1": { SERVICES: "notifier", NOTIFIER_PORT: String(notifiers[0]) },
    "notifier-2": { SERVICES: "notifier", NOTIFIER_PORT: String(notifiers[1]) },
  };
  Object.values(nodes).forEach((node, at) => (node.OPS_PORT = ops === 0 ? "0" : String(ops + at)));
  return nodes;
}

/**
 * Starts these nodes and waits until all of them serve.
 * @throws when a node ends, or does not serve within 60 s; then none is left
 */
export async function startCluster(
  urls: ClusterUrls,
  ports: Ports,
  { out, env = {}, onWait = () => {}, own = () => {}, signal }: Options,
): Promise<{ group: ProcessGroup; nodes: Record<string, Record<string, string>> }> {
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
    Object.entries(clusterNodes(ports)).map(([name, node]) => [name, { ...shared, ...node, NODE_ID: name }]),
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
  return { group, nodes };
}
