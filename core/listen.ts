/**
 * libuv takes one new connection of each listener in a turn of the event loop (libuv/libuv#3696). A node that is busy has
 * long turns, so that new clients would wait in the kernel for a minute, where nothing sees them. On Linux a server has
 * several listeners at its port, among which the kernel spreads the connections.
 */
import { once } from "node:events";
import type { Server } from "node:http";
import { type AddressInfo, createServer } from "node:net";

/** Connections that are taken in a turn. */
const LISTENERS = 16;

/**
 * Listens at a port; closing the server closes all of its listeners.
 * @throws EADDRINUSE and others when the port can't be taken
 */
export async function listen(server: Server, port: number, host: string): Promise<void> {
  // Elsewhere sockets cannot share a port.
  const reusePort = process.platform === "linux";
  server.listen({ port, host, reusePort });
  await once(server, "listening");
  if (!reusePort) return;
  const { port: taken } = server.address() as AddressInfo;
  const others = Array.from({ length: LISTENERS - 1 }, () =>
    // As Node's HTTP server takes its own.
    createServer({ allowHalfOpen: true, noDelay: true }, (socket) => server.emit("connection", socket)),
  );
  const close = server.close.bind(server);
  server.close = (done) => {
    for (const other of others) other.close();
    return close(done);
  };
  for (const other of others) {
    other.on("error", (error) => server.emit("error", error));
    other.listen({ port: taken, host, reusePort });
  }
  await Promise.all(others.map((other) => once(other, "listening")));
}
