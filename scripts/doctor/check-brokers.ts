/** NATS and Redis, each of which is a hint: but a wrong setting breaks what leans on it. */
import { connect } from "nats";
import { Redis } from "ioredis";
import { explain } from "../../core/explain.ts";
import { MAX_PAYLOAD_BYTES, natsOptions } from "../../core/nats-options.ts";
import { sentinelOptions } from "../../core/redis-options.ts";
import { check, CONNECT_MS, type Level } from "./findings.ts";

const MEGABYTE = 1024 * 1024;

/** @throws when the server can't be reached */
async function askNats(server: string, credentials: object): Promise<[Level, string]> {
  const began = performance.now();
  const nats = await connect({
    ...credentials,
    servers: server,
    timeout: CONNECT_MS,
    reconnect: false,
    ignoreClusterUpdates: true,
    name: "taskwire doctor",
  });
  const { version, max_payload = 0 } = nats.info ?? {};
  const ms = Math.round(performance.now() - began);
  void nats.close().catch(() => {});
  if (max_payload >= MAX_PAYLOAD_BYTES) return ["ok", `${version} at ${server}, answers in ${ms} ms`];
  const megabytes = (max_payload / MEGABYTE).toFixed(1);
  return ["fail", `${server} accepts messages of ${megabytes} MB: set max_payload: 8MB in its configuration`];
}

export const checkNats = check("NATS", async (config, say) => {
  if (config.NATS_URL === "") return say("ok", "none (no NATS_URL): all services in one process");
  const { servers, ...credentials } = natsOptions(config.NATS_URL);
  const answers = await Promise.allSettled(servers.map((server) => askNats(server, credentials)));
  // The nodes need one server of several.
  const level = answers.some(({ status }) => status === "fulfilled") ? "warn" : "fail";
  answers.forEach((answer, at) =>
    answer.status === "fulfilled"
      ? say(...answer.value)
      : say(
          level,
          `${servers[at]} can't be reached (${explain(answer.reason)}): start it, or correct NATS_URL`,
        ),
  );
});

/** A line of INFO. */
const valueOf = (info: string, name: string): string =>
  new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1] ?? "";

export const checkRedis = check("Redis", async (config, say) => {
  if (config.REDIS_URL === "") return say("ok", "none (no REDIS_URL): for one gateway and one notifier");
  const settings = {
    lazyConnect: true,
    maxRetriesPerRequest: 0,
    connectTimeout: CONNECT_MS,
    commandTimeout: CONNECT_MS,
    retryStrategy: () => null,
    sentinelRetryStrategy: () => null,
  };
  const sentinels = sentinelOptions(config.REDIS_URL);
  const redis =
    sentinels === null ? new Redis(config.REDIS_URL, settings) : new Redis({ ...settings, ...sentinels });
  // The cause: a command of a client that never connected says only that it is closed.
  let cause: unknown;
  redis.on("error", (error) => (cause = error));
  const { host, port } = redis.options;
  const where = sentinels === null ? `${host}:${port}` : `${sentinels.name}, by its Sentinels`;
  try {
    const began = performance.now();
    await redis.connect();
    const info = await redis.info();
    const ms = Math.round(performance.now() - began);
    say("ok", `${valueOf(info, "redis_version")} at ${where}, answers in ${ms} ms`);
    if (valueOf(info, "role") === "slave")
      say("fail", `${where} is a replica, which takes no writes: name the master in REDIS_URL`);
    const policy = valueOf(info, "maxmemory_policy");
    if (valueOf(info, "maxmemory") === "0")
      say(
        "warn",
        "has no bound on its memory: set maxmemory (256mb will do) and maxmemory-policy allkeys-lru",
      );
    else if (policy === "noeviction")
      say("warn", "maxmemory-policy is noeviction, so a full Redis refuses writes: set it to allkeys-lru");
    else say("ok", `forgets the oldest when it is full (maxmemory-policy ${policy})`);
  } catch (error) {
    say("fail", `${where} can't be reached (${explain(cause ?? error)}): start it, or correct REDIS_URL`);
  } finally {
    redis.disconnect();
  }
});
