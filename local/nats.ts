import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { startServer } from "./server-process.ts";
import type { LocalServer, ServerOptions } from "./server-process.ts";

/** What every NATS of Taskwire is configured with. */
const SETTINGS = readFileSync(new URL("nats.conf", import.meta.url), "utf8");

/**
 * A real NATS server that lets in who has the credentials in its URL, made for this run; it is ready when it introduces
 * itself with `INFO`. Throws what `startServer` throws.
 */
export function startNats(options: ServerOptions = {}): Promise<LocalServer> {
  const password = randomBytes(24).toString("hex");
  return startServer(
    {
      name: "nats-server",
      access: `nats://taskwire:${password}@`,
      configuration: (port) =>
        `${SETTINGS}\nlisten: "127.0.0.1:${port}"\nauthorization { user: taskwire, password: "${password}" }\n`,
      args: (file) => ["--config", file],
      say: "",
      reply: "INFO ",
    },
    options,
  );
}
