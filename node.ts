import { ServiceBroker, type ServiceSchema } from "moleculer";
import type { Config, ServiceName } from "./core/config.ts";
import { natsOptions } from "./core/nats-options.ts";
import { brokerOptions } from "./moleculer.config.ts";

type Factory = (config: Config) => ServiceSchema;

/** Loaded only where it runs: a tasks node needs no socket.io. */
const load: Record<ServiceName, () => Promise<{ default: Factory }>> = {
  "api-gateway": () => import("./services/api-gateway/api-gateway.service.ts"),
  auth: () => import("./services/auth/auth.service.ts"),
  users: () => import("./services/users/users.service.ts"),
  projects: () => import("./services/projects/projects.service.ts"),
  tasks: () => import("./services/tasks/tasks.service.ts"),
  notifier: () => import("./services/notifier/notifier.service.ts"),
  mailer: () => import("./services/mailer/mailer.service.ts"),
  jobs: () => import("./services/jobs/jobs.service.ts"),
};

/** Bytes of a message that the broker must take: local/nats.conf says for what. */
const MAX_PAYLOAD = 8 * 1024 * 1024;

/** @throws when NATS takes smaller messages than we send */
function checkPayload(broker: ServiceBroker): void {
  type Nats = { client?: { info?: { max_payload?: number } } };
  const { tx } = (broker.transit ?? {}) as unknown as { tx?: Nats };
  const most = tx?.client?.info?.max_payload;
  if (most !== undefined && most < MAX_PAYLOAD)
    throw new Error(
      `NATS takes messages of ${most} bytes, Taskwire sends up to 8 MB: set max_payload: 8MB in the configuration of NATS`,
    );
}

/** Milliseconds after which a start says for what it waits, and how often it goes on saying so. */
const PATIENCE_MS = 5000;

/** What keeps a broker from being started: the message broker, or services that others need first. */
function waitsFor(broker: ServiceBroker, config: Config): string {
  if (broker.transit !== undefined && broker.transit !== null && !broker.transit.connected)
    return `NATS at ${natsOptions(config.NATS_URL).servers.join(", ")} (NATS_URL)`;
  const running = new Set((broker.services as { name: string }[]).map(({ name }) => name));
  const missing = config.SERVICES.filter((name) => !running.has(name));
  return missing.length > 0 ? `its services ${missing.join(", ")}` : "its services";
}

/** A broker that stops waits for every request that still comes: HTTP ends before. */
function drainFirst(broker: ServiceBroker): void {
  const stop = broker.stop.bind(broker);
  broker.stop = async () => {
    const gateway = broker.getLocalService("api-gateway") as { drain?(): Promise<void> } | undefined;
    await gateway?.drain?.();
    await stop();
  };
}

/**
 * Tells the other nodes of this one's services now. Moleculer gathers such news for a second, in which a node that is
 * ready gets no calls: nobody would be left for them when the next one of a rolling restart stops.
 */
async function announce(broker: ServiceBroker): Promise<void> {
  await broker.registry.discoverer.sendLocalNodeInfo();
}

/**
 * A node: a broker with the services that it runs, started. Stop it by `broker.stop()`.
 * @param onWait told every 5 s what a start still waits for
 */
export async function startNode(config: Config, onWait?: (what: string) => void): Promise<ServiceBroker> {
  const broker = new ServiceBroker(brokerOptions(config));
  drainFirst(broker);
  for (const name of config.SERVICES) broker.createService((await load[name]()).default(config));
  const waiting = onWait && setInterval(() => onWait(waitsFor(broker, config)), PATIENCE_MS);
  try {
    await broker.start();
  } finally {
    clearInterval(waiting);
  }
  try {
    checkPayload(broker);
    await announce(broker);
  } catch (error) {
    await broker.stop();
    throw error;
  }
  return broker;
}
