import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { startServer } from "./server-process.ts";
import type { LocalServer, ServerOptions } from "./server-process.ts";

/** The settings of every NATS that Taskwire uses. */
const SETTINGS = readFileSync(new URL("nats.conf", import.meta.url), "utf8");

/**
 * A real NATS server that asks for the credentials in its URL, made for this run. It is ready when it sends `INFO`.
 * Throws what `startServer` throws.
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
