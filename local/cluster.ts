import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { ProcessGroup } from "./process-group.ts";

export interface ClusterUrls {
  DATABASE_URL: string;
  NATS_URL: string;
  REDIS_URL: string;
}

export interface Ports {
  gateway: number;
  notifiers: [number, number];
}

/** Milliseconds that the nodes have to come up. */
const START_MS = 60_000;

/**
 * The nodes of a small cluster: each service its own process, tasks and notifier twice, so that one of either can be
 * killed while somebody looks on.
 */
export const clusterNodes = (ports: Ports): Record<string, Record<string, string>> => ({
  gateway: { SERVICES: "api-gateway", PORT: String(ports.gateway) },
  auth: { SERVICES: "auth" },
  users: { SERVICES: "users,mailer,jobs" },
  projects: { SERVICES: "projects" },
  "tasks-1": { SERVICES: "tasks" },
  "tasks-2": { SERVICES: "tasks" },
  "notifier-1": { SERVICES: "notifier", NOTIFIER_PORT: String(ports.notifiers[0]) },
  "notifier-2": { SERVICES: "notifier", NOTIFIER_PORT: String(ports.notifiers[1]) },
});

/**
 * Starts those nodes and waits until all of them serve.
 * @param env added for every node, such as LOG_LEVEL; without a JWT_SECRET they share one made for this run
 * @throws when a node ends, or does not come up within 60 s
 */
export async function startCluster(
  urls: ClusterUrls,
  ports: Ports,
  out: ConstructorParameters<typeof ProcessGroup>[0]["out"],
  env: Record<string, string> = {},
): Promise<{ group: ProcessGroup; nodes: Record<string, Record<string, string>> }> {
  const shared = {
    JWT_SECRET: process.env.JWT_SECRET ?? randomBytes(32).toString("base64url"),
    NAMESPACE: `taskwire-${randomBytes(4).toString("hex")}`,
    ...urls,
    ...env,
  };
  const ended: string[] = [];
  const group = new ProcessGroup({
    command: process.execPath,
    args: [new URL("../main.ts", import.meta.url).pathname],
    out,
    onExit: (name) => ended.push(name),
  });
  const nodes = Object.fromEntries(
    Object.entries(clusterNodes(ports)).map(([name, own]) => [name, { ...shared, ...own, NODE_ID: name }]),
  );
  const ready = Object.entries(nodes).map(([name, node]) => {
    const child = group.start({ name, env: node });
    return new Promise<void>((resolve, reject) => {
      child.once("message", () => resolve());
      child.once("exit", () =>
        reject(new Error(`the node ${name} ended before it was ready: see its lines above`)),
      );
    });
  });
  const tooLate = new AbortController();
  try {
    await Promise.race([
      Promise.all(ready),
      delay(START_MS, undefined, { signal: tooLate.signal, ref: false }).then(() => {
        throw new Error(`the nodes did not come up within ${START_MS / 1000} s`);
      }),
    ]);
  } catch (error) {
    await group.stopAll();
    throw error;
  } finally {
    tooLate.abort();
  }
  return { group, nodes };
}

/** Whether somebody listens on a port of this machine. */
export function isTaken(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ port, host: "127.0.0.1" });
  socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
  return promise.finally(() => socket.destroy());
}
