import { randomBytes } from "node:crypto";
import { startServer } from "./server-process.ts";
import type { LocalServer, ServerOptions } from "./server-process.ts";

/**
 * A real Redis that keeps nothing on disk and asks for the password in its URL, made for this run. It is ready when it
 * accepts that password. A replica has the password of its master. Throws what `startServer` throws.
 */
export function startRedis(options: ServerOptions & { replicaOf?: LocalServer } = {}): Promise<LocalServer> {
  const { replicaOf } = options;
  const password = replicaOf ? new URL(replicaOf.url).password : randomBytes(24).toString("hex");
  return startServer(
    {
      name: "redis-server",
      access: `redis://:${password}@`,
      configuration: (port) =>
        [
          "bind 127.0.0.1",
          `port ${port}`,
          'save ""',
          "appendonly no",
          `requirepass ${password}`,
          `masterauth ${password}`,
          ...(replicaOf ? [`replicaof 127.0.0.1 ${replicaOf.port}`] : []),
        ].join("\n"),
      args: (file) => [file],
      say: `AUTH ${password}\r\n`,
      reply: "+OK",
    },
    options,
  );
}

/** A Sentinel that watches the Redis of `startRedis`, a master of the name `taskwire` that it may fail over alone. */
export function startSentinel({ url }: Pick<LocalServer, "url">): Promise<LocalServer> {
  const { hostname, port: master, password } = new URL(url);
  return startServer({
    name: "redis-server",
    access: `redis+sentinel://:${password}@`,
    configuration: (port) =>
      [
        "bind 127.0.0.1",
        `port ${port}`,
        `sentinel monitor taskwire ${hostname} ${master} 1`,
        `sentinel auth-pass taskwire ${password}`,
        "sentinel down-after-milliseconds taskwire 500",
        "sentinel failover-timeout taskwire 2000",
      ].join("\n"),
    args: (file) => [file, "--sentinel"],
    say: "PING\r\n",
    reply: "+PONG",
  });
}
