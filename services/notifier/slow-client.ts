import type { Socket } from "socket.io";

/** Frames that may wait for a client before it is cut off. It resumes from its cursor when it can read again. */
const MAX_WAITING = 1000;
/** Milliseconds that a client has to read what it asked to have replayed. */
const MUST_DRAIN_WITHIN = 10_000;

type AnySocket = Pick<Socket, "conn" | "disconnect" | "disconnected">;

/** Frames that the transport has not taken yet. engine.io keeps the list to itself in its types. */
const waiting = (conn: AnySocket["conn"]): number =>
  (conn as unknown as { writeBuffer: unknown[] }).writeBuffer.length;

/** Whether more waits for a client than the server is willing to hold for it. */
export const isTooSlow = ({ conn }: AnySocket): boolean => waiting(conn) > MAX_WAITING;

/** Ends the connection below the socket; the client connects again and resumes. */
export function cutOff(socket: AnySocket): void {
  socket.disconnect(true);
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
