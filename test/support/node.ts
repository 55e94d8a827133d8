import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { ServiceBroker, ServiceSchema } from "moleculer";
import { type Config, loadConfig, type ServiceName, SERVICES } from "../../core/config.ts";
import { startNode } from "../../node.ts";
import { freshDatabase } from "./database.ts";
import { Api } from "./api.ts";

export interface TestNode {
  broker: ServiceBroker;
  config: Config;
  /** `http://127.0.0.1:<port>` of the gateway, which carries the sockets too. */
  url: string;
  api: Api;
  stop(): Promise<void>;
}

/** Milliseconds in which Postgres answers a test: a slow machine takes longer than a user would wait. */
const PATIENCE_MS = 8000;

/** A configuration for tests: cheap hashes, quiet log, a free port. */
export function testConfig(databaseUrl: string, overrides: Partial<Config> = {}): Config {
  const env = {
    NODE_ENV: "test",
    BCRYPT_COST: "4",
    LOG_LEVEL: "fatal",
    RATE_LIMIT: "off",
    DATABASE_URL: databaseUrl,
    DATABASE_TIMEOUT: String(PATIENCE_MS),
  };
  // Without the jobs service nothing happens by time alone.
  const services = SERVICES.filter((name) => name !== "jobs");
  return { ...loadConfig(env), SERVICES: services, PORT: 0, NOTIFIER_PORT: 0, ...overrides };
}

/** The whole system in this process, without brokers, on a database of its own. */
export async function startTestNode(overrides: Partial<Config> = {}): Promise<TestNode> {
  const config = testConfig(await freshDatabase(), overrides);
  const broker = await startNode(config);
  const gateway = broker.getLocalService("api-gateway") as unknown as { server: Server };
  const url = `http://127.0.0.1:${(gateway.server.address() as AddressInfo).port}`;
  return { broker, config, url, api: new Api(url), stop: () => broker.stop() };
}

/** Stops one service of a node while `work` runs. */
export async function withoutService(
  { broker, config }: TestNode,
  name: Exclude<ServiceName, "api-gateway">,
  work: () => Promise<void>,
): Promise<void> {
  const service = broker.getLocalService(name);
  if (!service) throw new Error(`the node runs no ${name}`);
  await broker.destroyService(service);
  try {
    await work();
  } finally {
    const { default: schemaOf } = (await import(`../../services/${name}/${name}.service.ts`)) as {
      default: (config: Config) => ServiceSchema;
    };
    broker.createService(schemaOf(config));
    await broker.waitForServices(name, 5000, 10);
  }
}
