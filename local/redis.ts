import { startServer } from "./server-process.ts";
import type { LocalServer, ServerOptions } from "./server-process.ts";

/** A real Redis that keeps nothing on disk; it is ready when it answers a `PING`. Throws what `startServer` throws. */
export function startRedis(options: ServerOptions = {}): Promise<LocalServer> {
  return startServer(
    {
      name: "redis-server",
      scheme: "redis",
      args: (port) => ["--bind", "127.0.0.1", "--port", String(port), "--save", "", "--appendonly", "no"],
      say: "PING\r\n",
      reply: "+PONG",
    },
    options,
  );
}
