import type { Socket } from "socket.io";

/** Frames that may wait for a client before it is cut off. It resumes from its cursor when it can read again. */
const MAX_WAITING = 1000;
/** Milliseconds that a client has to read what it asked to have replayed. */
const MUST_DRAIN_WITHIN = 10_000;

type AnySocket = Pick<Socket, "conn" | "disconnected">;

/** Frames that the transport has not taken yet. engine.io keeps the list to itself in its types. */
const waiting = (conn: AnySocket["conn"]): number =>
  (conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length;

/** Whether more waits for a client than the server is willing to hold for it. */
export const isTooSlow = ({ conn }: AnySocket): boolean => waiting(conn) > MAX_WAITING;

/**
 * Closes the transport under a socket, after what was sent. A stock client answers that by connecting again, where
 * `socket.disconnect()` would tell it to stay away (contract.md §6 "Ends").
 */
export function letGo({ conn }: Pick<AnySocket, "conn">): void {
  conn.close();
}

/** Ends the connection at once, and with it all that waits for a client that does not read. It may come back. */
export function cutOff({ conn }: Pick<AnySocket, "conn">): void {
  const { socket } = conn.transport as { socket?: { terminate(): void } };
  conn.close(true);
  // A WebSocket waits 30 s for the other side to close: it holds what was not read for so long.
  socket?.terminate();
}

/**
 * Waits until all that was sent has left this process, so that a long replay never piles up in memory.
 * @returns false when the client is gone, or was cut off because it did not read in time
 */
export async function drained(socket: AnySocket): Promise<boolean> {
  const { conn } = socket;
  if (waiting(conn) === 0) return !socket.disconnected;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onDrain = () => resolve(true);
  const onClose = () => resolve(false);
  const timer = setTimeout(() => {
    cutOff(socket);
    resolve(false);
  }, MUST_DRAIN_WITHIN);
  conn.once("drain", onDrain);
  conn.once("close", onClose);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    conn.off("drain", onDrain);
    conn.off("close", onClose);
  }
}
