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
  /** The first of the ports at which the nodes serve their metrics, one each; 0: nowhere. */
  ops?: number;
}

interface Options {
  /** Where the nodes' lines go. */
  out: ConstructorParameters<typeof ProcessGroup>[0]["out"];
  /** Added for every node, such as LOG_LEVEL; without a JWT_SECRET they share one made for this run. */
  env?: Record<string, string>;
  /** Told every 5 s which nodes do not serve yet. */
  onWait?: (nodes: string[]) => void;
  /** Given the group before its first node starts, for a caller that may have to end it meanwhile. */
  own?: (group: ProcessGroup) => void;
  /** Aborts the start. */
  signal?: AbortSignal;
}

/** Milliseconds that the nodes have to come up. */
const START_MS = 60_000;
/** Milliseconds between two words about what is waited for. */
const PATIENCE_MS = 5000;

/**
 * The nodes of a small cluster: each service its own process, tasks and notifier twice, so that one of either can be
 * killed while somebody looks on.
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
 * Starts those nodes and waits until all of them serve.
 * @throws when a node ends, or does not come up within 60 s; then none is left
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
      fail(new Error(`the node ${name} ended before it was ready: see its lines above`)),
    );
    return new Promise<void>((resolve) => {
      child.once("message", () => {
        waitsFor.delete(name);
        resolve();
      });
    });
  });
  const tooLate = setTimeout(
    () => fail(new Error(`${[...waitsFor].join(", ")} did not come up within ${START_MS / 1000} s`)),
    START_MS,
  );
  const abort = (): void => fail(new Error("the start was aborted"));
  signal?.addEventListener("abort", abort);
  const waiting = setInterval(() => onWait([...waitsFor]), PATIENCE_MS);
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
