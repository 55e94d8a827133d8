import { randomBytes } from "node:crypto";
import { startServer } from "./server-process.ts";
import type { LocalServer, ServerOptions } from "./server-process.ts";

/**
 * A real Redis that keeps nothing on disk and asks for the password in its URL, made for this run. It is ready when it
 * accepts that password. Throws what `startServer` throws.
 */
export function startRedis(options: ServerOptions = {}): Promise<LocalServer> {
  const password = randomBytes(24).toString("hex");
  return startServer(
    {
      name: "redis-server",
      access: `redis://:${password}@`,
      configuration: (port) =>
        ["bind 127.0.0.1", `port ${port}`, 'save ""', "appendonly no", `requirepass ${password}`].join("\n"),
      args: (file) => [file],
      say: `AUTH ${password}\r\n`,
      reply: "+OK",
    },
    options,
  );
}
