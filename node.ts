import { ServiceBroker, type ServiceSchema } from "moleculer";
import type { Config, ServiceName } from "./core/config.ts";
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

/** A node: a broker with the services that it runs, started. Stop it by `broker.stop()`. */
export async function startNode(config: Config): Promise<ServiceBroker> {
  const broker = new ServiceBroker(brokerOptions(config));
  for (const name of config.SERVICES) broker.createService((await load[name]()).default(config));
  await broker.start();
  return broker;
}
