import { ServiceBroker, type ServiceSchema } from "moleculer";
import type { Config, ServiceName } from "./core/config.ts";
import type { ErrorReports } from "./core/error-reports.ts";
import { loggerOptions } from "./core/logger.ts";
import { type Tracer, useTracer } from "./core/trace.ts";
import { openOpsServer } from "./middlewares/ops-server.ts";
import { type Health, healthOf } from "./mixins/health.ts";
import { MAX_PAYLOAD_BYTES, natsOptions } from "./core/nats-options.ts";
import { warnOfConnections } from "./mixins/connection-budget.ts";
import { brokerOptions } from "./moleculer.config.ts";

type Factory = (config: Config) => ServiceSchema;

/** A node loads only the services that it runs: a tasks node needs no socket.io. */
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

/** @throws when NATS accepts only smaller messages than nodes send */
function checkPayload(broker: ServiceBroker): void {
  type Nats = { client?: { info?: { max_payload?: number } } };
  const { tx } = (broker.transit ?? {}) as unknown as { tx?: Nats };
  const most = tx?.client?.info?.max_payload;
  if (most !== undefined && most < MAX_PAYLOAD_BYTES)
    throw new Error(
      `NATS accepts messages of ${most} bytes, and Taskwire sends up to 8 MB: set max_payload: 8MB in the configuration of NATS`,
    );
}

/** How often a slow start reports what it waits for. */
const REPORT_MS = 5000;

/** The reason why a broker has not started: NATS, or services that others need first. */
function waitsFor(broker: ServiceBroker, config: Config): string {
  if (broker.transit !== undefined && broker.transit !== null && !broker.transit.connected)
    return `NATS at ${natsOptions(config.NATS_URL).servers.join(", ")} (NATS_URL)`;
  const running = new Set((broker.services as { name: string }[]).map(({ name }) => name));
  const missing = config.SERVICES.filter((name) => !running.has(name));
  return missing.length > 0 ? `its services ${missing.join(", ")}` : "its services";
}

/**
 * The order of a stop: the node is not ready any more, then those requests end that wait for events, and the gateway's HTTP
 * server. The broker waits for every request. The server for operators answers to the last.
 */
function drainFirst(broker: ServiceBroker, health: Health, closeOps: () => Promise<void>): void {
  const stop = broker.stop.bind(broker);
  broker.stop = async () => {
    health.phase = "stopping";
    const services = broker.services as { drain?(): Promise<void> | void }[];
    await Promise.all(services.map(async (service) => service.drain?.()));
    await stop().finally(closeOps);
  };
}

/** Spans and reports of errors are sent up to the end: those of services that stop, too. */
function closeLast(broker: ServiceBroker, ...sinks: ({ close(): Promise<void> } | null)[]): void {
  const stop = broker.stop.bind(broker);
  broker.stop = async () => {
    try {
      await stop();
    } finally {
      await Promise.all(sinks.map(async (sink) => sink?.close()));
    }
  };
}

// Nodes load OpenTelemetry and Sentry's SDK only where they are used.
async function openSpans(config: Config, broker: ServiceBroker): Promise<Tracer> {
  const { openTracer } = await import("./core/spans.ts");
  const tracer = openTracer(config, (message) => broker.logger.warn(message));
  useTracer(broker, tracer);
  return tracer;
}

async function openReports(config: Config): Promise<ErrorReports> {
  const { openErrorReports } = await import("./core/error-reports.ts");
  return openErrorReports(config);
}

/**
 * Announces this node's services to the other nodes now. Moleculer collects such news for a second, in which a ready node
 * gets no calls: in a rolling restart the next node would stop before this one serves.
 */
async function announce(broker: ServiceBroker): Promise<void> {
  await broker.registry.discoverer.sendLocalNodeInfo();
}

/**
 * Starts a node: a broker with the services of SERVICES. `broker.stop()` stops it.
 * @param onWait called every 5 s with what the start still waits for
 */
export async function startNode(config: Config, onWait?: (what: string) => void): Promise<ServiceBroker> {
  const reports = config.SENTRY_DSN === "" ? null : await openReports(config);
  const broker = new ServiceBroker(brokerOptions(config, await loggerOptions(config, reports?.send)));
  const tracer = config.TRACE_URL === "" ? null : await openSpans(config, broker);
  const health = healthOf(broker, config);
  const closeOps = config.OPS_PORT === 0 ? async () => {} : await openOpsServer(broker, config);
  drainFirst(broker, health, closeOps);
  closeLast(broker, tracer, reports);
  const waiting = onWait && setInterval(() => onWait(waitsFor(broker, config)), REPORT_MS);
  try {
    for (const name of config.SERVICES) broker.createService((await load[name]()).default(config));
    await broker.start();
  } catch (error) {
    await closeOps();
    throw error;
  } finally {
    clearInterval(waiting);
  }
  try {
    checkPayload(broker);
    await announce(broker);
    void warnOfConnections(broker, config);
  } catch (error) {
    await broker.stop();
    throw error;
  }
  health.phase = "serving";
  return broker;
}
