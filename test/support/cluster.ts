import { freePort } from "../../local/ports.ts";
import { startCluster } from "../../local/cluster.ts";
import { startNats } from "../../local/nats.ts";
import type { ProcessGroup } from "../../local/process-group.ts";
import { startRedis } from "../../local/redis.ts";
import { until } from "../../local/until.ts";
import { Api } from "./api.ts";
import { freshDatabase } from "./database.ts";

export interface TestCluster {
  api: Api;
  /** Where the two notifiers listen. */
  notifiers: [string, string];
  nats: Awaited<ReturnType<typeof startNats>>;
  redis: Awaited<ReturnType<typeof startRedis>>;
  databaseUrl: string;
  group: ProcessGroup;
  /** Lines that the nodes wrote, for a test that fails. */
  log: string[];
  /** kill -9, and the node is gone. */
  kill(name: string): Promise<void>;
  /** SIGTERM, and the node is gone. */
  stopNode(name: string): Promise<void>;
  /** Adds a node with the services of another one, and waits until it serves. */
  addNode(name: string, like: string, env?: Record<string, string>): Promise<void>;
  /** Adds a gateway, and waits until it serves. */
  addGateway(name: string): Promise<Api>;
  /** Starts a killed node again and waits until it serves. */
  revive(name: string): Promise<void>;
  stop(): Promise<void>;
}

/** Every service a process of its own over NATS, Redis and Postgres of this file's own. */
export async function startTestCluster(env: Record<string, string> = {}): Promise<TestCluster> {
  const [databaseUrl, nats, redis] = await Promise.all([freshDatabase(), startNats(), startRedis()]);
  const [gateway, first, second] = [await freePort(), await freePort(), await freePort()];
  const log: string[] = [];
  const { group, nodes } = await startCluster(
    { DATABASE_URL: databaseUrl, NATS_URL: nats.url, REDIS_URL: redis.url },
    { gateways: [gateway], notifiers: [first, second] },
    {
      out: (name, line) => log.push(`${name}: ${line}`),
      env: {
        NODE_ENV: "test",
        BCRYPT_COST: "4",
        LOG_LEVEL: "warn",
        RATE_LIMIT: "off",
        DRAIN_SECONDS: "1",
        // Tests hold requests under way, for as long as a slow machine needs to have them all there.
        DATABASE_TIMEOUT: "4000",
        ...env,
      },
    },
  );
  const api = new Api(`http://127.0.0.1:${gateway}`);
  async function startNode(name: string, env: Record<string, string>): Promise<void> {
    const child = group.start({ name, env });
    await new Promise((resolve) => child.once("message", resolve));
  }
  return {
    api,
    notifiers: [`http://127.0.0.1:${first}`, `http://127.0.0.1:${second}`],
    nats,
    redis,
    databaseUrl,
    group,
    log,
    async kill(name) {
      group.kill(name, "SIGKILL");
      await until(() => group.get(name) === undefined, 5000);
    },
    async stopNode(name) {
      group.kill(name, "SIGTERM");
      await until(() => group.get(name) === undefined, 10_000);
    },
    addNode: (name, like, more = {}) => startNode(name, { ...nodes[like], ...more, NODE_ID: name }),
    async addGateway(name) {
      const port = await freePort();
      await startNode(name, { ...nodes.gateway, NODE_ID: name, PORT: String(port) });
      return new Api(`http://127.0.0.1:${port}`);
    },
    revive: (name) => startNode(name, nodes[name] as Record<string, string>),
    async stop() {
      await group.stopAll();
      await Promise.all([nats.stop(), redis.stop()]);
    },
  };
}
