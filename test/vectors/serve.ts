/**
 * `npm run vectors`: a server for test vectors in any language (docs/write-a-client.md, Test vectors). It prints the URL of
 * the API and of the server actions, and runs until Ctrl-C.
 */
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import { startPostgres } from "../../local/postgres.ts";
import { migrate } from "../../migrations/migrate.ts";
import { startNode } from "../../node.ts";
import { testConfig } from "../support/node.ts";
import { serverActions } from "../support/server-actions.ts";

const urlOf = (server: Server): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const dir = await mkdtemp(join(tmpdir(), "taskwire-vectors-"));
// Postgres never runs as root: its own user must reach the folder.
await chmod(dir, 0o755);
const postgres = await startPostgres({ dir: join(dir, "postgres"), durable: false });
await migrate(postgres.url);
const broker = await startNode(testConfig(postgres.url));
const actions = serverActions(broker) as Record<string, (of: unknown) => void | Promise<void>>;

const control = createServer((request, response) => {
  const action = actions[(request.url ?? "").slice(1)];
  const done = async (): Promise<number> => {
    if (request.method !== "POST" || action === undefined) return 404;
    await action(await json(request));
    return 204;
  };
  done().then(
    (status) => response.writeHead(status).end(),
    (error: Error) => response.writeHead(500).end(error.message),
  );
});
control.listen(0, "127.0.0.1", () => {
  console.log(
    `API      ${urlOf((broker.getLocalService("api-gateway") as unknown as { server: Server }).server)}`,
  );
  console.log(`actions  ${urlOf(control)}`);
});

async function stop(): Promise<void> {
  control.close();
  await broker.stop();
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
}
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void stop());
