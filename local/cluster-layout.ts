/** Which nodes a cluster of this machine has, and at which ports. */
import type { ServiceName } from "../core/config.ts";

/** What the nodes of each kind run. */
const KINDS = {
  gateway: ["api-gateway"],
  auth: ["auth"],
  users: ["users", "mailer", "jobs"],
  projects: ["projects"],
  tasks: ["tasks"],
  notifier: ["notifier"],
} as const satisfies Record<string, readonly ServiceName[]>;

/** How many nodes there are of each kind. */
export interface Sizes {
  gateways: number;
  auth: number;
  users: number;
  projects: number;
  tasks: number;
  notifiers: number;
}

/** Two of tasks and notifier, so that a person or a test can kill one of either. */
export const USUAL_SIZES: Readonly<Sizes> = {
  gateways: 1,
  auth: 1,
  users: 1,
  projects: 1,
  tasks: 2,
  notifiers: 2,
};

export interface Ports {
  gateways: number[];
  notifiers: number[];
  /** The first of the ports at which the nodes serve their metrics, one each; 0 turns them off. */
  ops?: number;
}

/** Ports after that of the proxy (local/reverse-proxy.ts): the notifiers' and then the gateways'. */
export function portsAfter(proxy: number, { gateways, notifiers }: Sizes, ops: number): Ports {
  const next = (count: number, from: number): number[] => Array.from({ length: count }, (_, at) => from + at);
  return {
    notifiers: next(notifiers, proxy + 1),
    gateways: next(gateways, proxy + 1 + notifiers),
    ops,
  };
}

/** The environment of each node by its name: `auth`, or `tasks-1` and `tasks-2` where there are several. */
export function clusterNodes(
  ports: Ports,
  sizes: Partial<Sizes> = {},
): Record<string, Record<string, string>> {
  const { gateways, notifiers, ops = 0 } = ports;
  const { auth, users, projects, tasks } = { ...USUAL_SIZES, ...sizes };
  const counts = { gateway: gateways.length, auth, users, projects, tasks, notifier: notifiers.length };
  const nodes: Record<string, Record<string, string>> = {};
  for (const [kind, services] of Object.entries(KINDS) as [keyof typeof KINDS, readonly string[]][])
    for (let at = 0; at < counts[kind]; at++)
      nodes[counts[kind] === 1 ? kind : `${kind}-${at + 1}`] = {
        SERVICES: services.join(","),
        ...(kind === "gateway" && { PORT: String(gateways[at]) }),
        ...(kind === "notifier" && { NOTIFIER_PORT: String(notifiers[at]) }),
      };
  Object.values(nodes).forEach((node, at) => (node.OPS_PORT = ops === 0 ? "0" : String(ops + at)));
  return nodes;
}
