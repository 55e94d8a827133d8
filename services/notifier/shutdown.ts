import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import type { Socket } from "socket.io";
import { letGo } from "./slow-client.ts";
import type { PushServer } from "./streams.ts";

/** Milliseconds that a client has to answer the closing of its connection. */
const MUST_CLOSE_WITHIN_MS = 1000;

/** The connections of a server that were upgraded: it waits for them when it closes, and doesn't know them. */
export function trackUpgrades(server: Server): Set<Duplex> {
  const upgraded = new Set<Duplex>();
  server.on("upgrade", (_request, socket) => {
    upgraded.add(socket);
    socket.once("close", () => upgraded.delete(socket));
  });
  return upgraded;
}

/**
 * Ends the sockets of this node, and of this node alone: each at a moment of its own within `spreadMs`, so that they do
 * not knock at the next node all at once. They get their events until then, and connect again after it.
 */
export async function endSockets(io: PushServer, upgraded: Set<Duplex>, spreadMs: number): Promise<void> {
  const { clients } = io.engine as unknown as { clients: Record<string, Socket["conn"]> };
  const ends = Object.values(clients).map((conn) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(() => letGo({ conn }), Math.random() * spreadMs);
    conn.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    return promise;
  });
  await within(spreadMs + MUST_CLOSE_WITHIN_MS, Promise.all(ends));
  io.engine.close();
  const closed = [...upgraded].map((socket) => new Promise((resolve) => socket.once("close", resolve)));
  await within(MUST_CLOSE_WITHIN_MS, Promise.all(closed));
  for (const socket of upgraded) socket.destroy();
}

async function within(ms: number, ended: Promise<unknown>): Promise<void> {
  const enough = new AbortController();
  const late = delay(ms, undefined, { signal: enough.signal }).catch(() => {});
  await Promise.race([ended, late]);
  enough.abort();
}
