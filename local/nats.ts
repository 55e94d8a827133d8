import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { freePort } from "./ports.ts";
import { startServer } from "./server-process.ts";
import type { LocalServer, ServerOptions } from "./server-process.ts";

/** The settings of every NATS that Taskwire uses. */
const SETTINGS = readFileSync(new URL("nats.conf", import.meta.url), "utf8");

/**
 * A real NATS server that asks for the credentials in its URL, made for this run. It is ready when it sends `INFO`.
 * Throws what `startServer` throws.
 */
export function startNats(options: ServerOptions = {}): Promise<LocalServer> {
  return startWith(randomBytes(24).toString("hex"), "", options);
}

/** Several NATS servers that make one cluster, with the same credentials. */
export async function startNatsCluster(size: number): Promise<LocalServer[]> {
  const password = randomBytes(24).toString("hex");
  const ports: number[] = [];
  while (ports.length < size) ports.push(await freePort());
  const routes = ports.map((port) => `"nats://127.0.0.1:${port}"`).join(", ");
  return Promise.all(
    ports.map((port) =>
      // Clients know all servers; those that a server would tell them of could be behind no proxy.
      startWith(
        password,
        `cluster { name: taskwire, listen: "127.0.0.1:${port}", no_advertise: true, routes: [${routes}] }\n`,
      ),
    ),
  );
}

const startWith = (password: string, more: string, options: ServerOptions = {}): Promise<LocalServer> =>
  startServer(
    {
      name: "nats-server",
      access: `nats://taskwire:${password}@`,
      configuration: (port) =>
        `${SETTINGS}\nlisten: "127.0.0.1:${port}"\nauthorization { user: taskwire, password: "${password}" }\n${more}`,
      args: (file) => ["--config", file],
      say: "",
      reply: "INFO ",
    },
    options,
  );
