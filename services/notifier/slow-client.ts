/**
 * What waits for clients that read slowly. A client is cut off before it costs the server its memory, and resumes from
 * its cursor when it can read again. Bytes are counted where they wait: in engine.io's list, in the WebSocket, and in
 * the connections that polls are answered on.
 */
import type { Socket as Connection } from "node:net";
import type { Socket } from "socket.io";

/** Bytes that wait for one socket when it is cut off at once: more than the longest bulk makes in one turn. */
const MOST_BYTES = 16 * 1024 * 1024;
/** Bytes that wait for one socket at two beats in a row when it is cut off. */
const MOST_BYTES_LONG = 2 * 1024 * 1024;
/** Bytes that wait for all sockets of a user, or of this node, when those that read slowly are cut off. */
const MOST_BYTES_OF_USER = 8 * 1024 * 1024;
const MOST_BYTES_OF_NODE = 256 * 1024 * 1024;
/** Bytes that wait for a socket which then counts as one that reads slowly. */
const SLOW_BYTES = 256 * 1024;
/** Bytes of memory that a frame takes beside its text, about. */
const FRAME_BYTES = 500;
/** Milliseconds that a client has to read what it asked to have replayed. */
const MUST_DRAIN_WITHIN_MS = 10_000;

type Conn = Socket["conn"];
type AnySocket = Pick<Socket, "conn" | "disconnected">;

interface Backlog {
  /** Bytes in engine.io's list: the transport has not taken them yet. */
  queued: number;
  /** Bytes that were ever sent. */
  sent: number;
  /** Connections on which polls were answered. */
  answers: Set<Connection>;
  /** Whether too much waited at the last beat. */
  wasSlow: boolean;
}

const backlogs = new WeakMap<Conn, Backlog>();

/** What engine.io keeps to itself in its types. */
type Internals = {
  writeBuffer: unknown[];
  transport: { socket?: { bufferedAmount: number; terminate(): void } };
};
const internals = (conn: Conn): Internals => conn as unknown as Internals;

/** Counts from now on what waits for a connection. */
export function watchBacklog(conn: Conn): void {
  const backlog: Backlog = { queued: 0, sent: 0, answers: new Set(), wasSlow: false };
  backlogs.set(conn, backlog);
  conn.on("packetCreate", ({ data }: { data?: string | Buffer }) => {
    const size = FRAME_BYTES + (data?.length ?? 0);
    backlog.queued += size;
    backlog.sent += size;
  });
  conn.on("flush", () => (backlog.queued = 0));
}

/** A poll is answered on this connection, where the answer may wait for a client that does not read it. */
export function answeredOn(conn: Conn, connection: Connection): void {
  const answers = backlogs.get(conn)?.answers;
  if (answers === undefined || answers.has(connection)) return;
  answers.add(connection);
  connection.once("close", () => answers.delete(connection));
}

/** Bytes that wait for a client, about. */
export function waitingBytes(conn: Conn): number {
  const { queued = 0, answers = [] } = backlogs.get(conn) ?? {};
  const answered = [...answers].reduce((sum, { writableLength }) => sum + writableLength, 0);
  return queued + answered + (internals(conn).transport.socket?.bufferedAmount ?? 0);
}

/** Bytes that were sent to a client until now, about. */
export const sentBytes = (conn: Conn): number => backlogs.get(conn)?.sent ?? 0;

/** Whether more waits for a client than the server is willing to hold for a moment. */
export const isTooSlow = ({ conn }: AnySocket): boolean => waitingBytes(conn) > MOST_BYTES;

/**
 * Once a beat: the sockets for which too much waits, each by itself, together with their user's others, or with all of
 * this node.
 */
export function slowSockets<Of extends AnySocket>(
  sockets: Iterable<Of>,
  userOf: (socket: Of) => string,
): Of[] {
  const waiting = Array.from(sockets, (socket) => ({ socket, bytes: waitingBytes(socket.conn) }));
  const slow = waiting.filter(({ bytes }) => bytes > SLOW_BYTES);
  const sum = (of: typeof waiting): number => of.reduce((total, { bytes }) => total + bytes, 0);
  const nodeIsFull = sum(waiting) > MOST_BYTES_OF_NODE;
  const byUser = Map.groupBy(slow, ({ socket }) => userOf(socket));
  const tooSlow = slow.filter(({ socket, bytes }) => {
    const backlog = backlogs.get(socket.conn);
    const again = bytes > MOST_BYTES_LONG && backlog?.wasSlow === true;
    const own = sum(byUser.get(userOf(socket)) as typeof waiting);
    return again || bytes > MOST_BYTES || own > MOST_BYTES_OF_USER || nodeIsFull;
  });
  for (const { socket, bytes } of waiting) {
    const backlog = backlogs.get(socket.conn);
    if (backlog !== undefined) backlog.wasSlow = bytes > MOST_BYTES_LONG;
  }
  return tooSlow.map(({ socket }) => socket);
}

/**
 * Closes the transport under a socket, after what was sent. A stock client answers that by connecting again, where
 * `socket.disconnect()` would tell it to stay away (docs/reference.md, How a connection ends).
 */
export function letGo({ conn }: Pick<AnySocket, "conn">): void {
  conn.close();
}

/** Ends the connection at once, and with it all that waits for a client that does not read. The client may come back. */
export function cutOff({ conn }: Pick<AnySocket, "conn">): void {
  const { socket } = internals(conn).transport;
  const answers = [...(backlogs.get(conn)?.answers ?? [])];
  conn.close(true);
  // A WebSocket waits 30 s for the other side to close: it holds what was not read for so long.
  socket?.terminate();
  for (const connection of answers) if (connection.writableLength > SLOW_BYTES) connection.destroy();
}

/**
 * Waits until all that was sent has left engine.io's list, so that a long replay never piles up in memory.
 * @returns false when the client is gone, or was cut off because it did not read in time
 */
export async function drained(socket: AnySocket): Promise<boolean> {
  const { conn } = socket;
  if (internals(conn).writeBuffer.length === 0) return !socket.disconnected;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onDrain = () => resolve(true);
  const onClose = () => resolve(false);
  const timer = setTimeout(() => {
    cutOff(socket);
    resolve(false);
  }, MUST_DRAIN_WITHIN_MS);
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
