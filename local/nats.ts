import { fileURLToPath } from "node:url";
import { startServer } from "./server-process.ts";
import type { LocalServer, ServerOptions } from "./server-process.ts";

const CONFIGURATION = fileURLToPath(new URL("nats.conf", import.meta.url));

/** A real NATS server; it is ready when it introduces itself with `INFO`. Throws what `startServer` throws. */
export function startNats(options: ServerOptions = {}): Promise<LocalServer> {
  return startServer(
    {
      name: "nats-server",
      scheme: "nats",
      args: (port) => ["--config", CONFIGURATION, "--addr", "127.0.0.1", "--port", String(port)],
      say: "",
      reply: "INFO ",
    },
    options,
  );
}
