import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Socket } from "socket.io";
import { closeConnection } from "./slow-client.ts";
import type { PushServer } from "./sockets.ts";

/** Milliseconds that a client has to close its side of a connection. */
const CLOSE_TIMEOUT_MS = 1000;

/** The upgraded connections of a server. Its `close` waits for them, but it has no list of them. */
export function trackUpgrades(server: Server): Set<Duplex> {
  const upgraded = new Set<Duplex>();
  // One function for all of them.
  function forget(this: Duplex): void {
    upgraded.delete(this);
  }
  server.on("upgrade", (_request, socket: Duplex) => {
    upgraded.add(socket);
    socket.on("close", forget);
  });
  return upgraded;
}

/**
 * Ends the sockets of this node alone, each at a random moment within `spreadMs`, so that they do not reach the next node
 * all at once. A socket gets its events until then, and its client connects again.
 */
export async function endSockets(io: PushServer, upgraded: Set<Duplex>, spreadMs: number): Promise<void> {
  const { clients } = io.engine as unknown as { clients: Record<string, Socket["conn"]> };
  const ends = Object.values(clients).map((conn) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => closeConnection({ conn }), Math.random() * spreadMs);
    conn.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    return promise;
  });
  await within(spreadMs + CLOSE_TIMEOUT_MS, Promise.all(ends));
  io.engine.close();
  const closed = [...upgraded].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
  await within(CLOSE_TIMEOUT_MS, Promise.all(closed));
  for (const socket of upgraded) socket.destroy();
}

async function within(ms: number, ended: Promise<unknown>): Promise<void> {
  const enough = new AbortController();
  const late = delay(ms, undefined, { signal: enough.signal }).catch(() => {});
  await Promise.race([ended, late]);
  enough.abort();
}
