/**
 * Limits on what waits for clients that read slowly. The connection of such a client is terminated before it costs the
 * server its memory; the client resumes from its cursor. Bytes are counted where they wait: in engine.io's list, in the
 * WebSocket, and in the connections that polls are answered on.
 */
import type { Socket as Connection } from "node:net";
import type { Socket } from "socket.io";

/** Bytes that may wait for one socket at any moment: more than the longest bulk sends in one turn. */
const MAX_SOCKET_BYTES = 16 * 1024 * 1024;
/** Bytes that may wait for one socket at two beats in a row. */
const MAX_LASTING_BYTES = 2 * 1024 * 1024;
/** Bytes that may wait for all sockets of a user, and of this node. Beyond them the slow ones among these are terminated. */
const MAX_USER_BYTES = 8 * 1024 * 1024;
const MAX_NODE_BYTES = 256 * 1024 * 1024;
/** A socket counts as slow when more than this many bytes wait for it. */
const SLOW_BYTES = 256 * 1024;
/** Bytes of memory that a frame takes in addition to its text, about. */
const FRAME_OVERHEAD_BYTES = 500;
/** Milliseconds that a client has to read a part of its replay. */
const DRAIN_TIMEOUT_MS = 10_000;

type Conn = Socket["conn"];
type AnySocket = Pick<Socket, "conn" | "disconnected">;

/** Why the server ended a connection at once: its client read too slowly, or sent too much. */
export type Termination = "slow reader" | "flood";

interface Backlog {
  /** Bytes in engine.io's list: the transport has not taken them yet. */
  queued: number;
  /** Bytes sent since the connection opened. */
  sent: number;
  /** Connections on which polls were answered. */
  answers: Set<Connection>;
  /** Whether too much waited at the last beat. */
  wasSlow: boolean;
  /** Null as long as the server has not ended the connection at once. */
  terminated: Termination | null;
}

const backlogs = new WeakMap<Conn, Backlog>();

/** Parts of engine.io that its types leave out. */
type Internals = {
  writeBuffer: unknown[];
  transport: { socket?: { bufferedAmount: number; terminate(): void } };
};
const internals = (conn: Conn): Internals => conn as unknown as Internals;

/** Starts to count what waits for a connection. */
export function watchBacklog(conn: Conn): void {
  const backlog: Backlog = { queued: 0, sent: 0, answers: new Set(), wasSlow: false, terminated: null };
  backlogs.set(conn, backlog);
  conn.on("packetCreate", ({ data }: { data?: string | Buffer }) => {
    const size = FRAME_OVERHEAD_BYTES + (data?.length ?? 0);
    backlog.queued += size;
    backlog.sent += size;
  });
  conn.on("flush", () => (backlog.queued = 0));
}

/** A poll is answered on this connection, and the answer waits there until the client reads it. */
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

/** Bytes sent to a client since it connected, about. */
export const sentBytes = (conn: Conn): number => backlogs.get(conn)?.sent ?? 0;

/** Whether more waits for a client than the server holds even for a moment. */
export const isTooSlow = ({ conn }: AnySocket): boolean => waitingBytes(conn) > MAX_SOCKET_BYTES;

/** The sockets for which too much waits: alone, with the others of their user, or with all of this node. Run once a beat. */
export function slowSockets<Of extends AnySocket>(
  sockets: Iterable<Of>,
  userOf: (socket: Of) => string,
): Of[] {
  const waiting = Array.from(sockets, (socket) => ({ socket, bytes: waitingBytes(socket.conn) }));
  const slow = waiting.filter(({ bytes }) => bytes > SLOW_BYTES);
  const sum = (of: typeof waiting): number => of.reduce((total, { bytes }) => total + bytes, 0);
  const nodeIsFull = sum(waiting) > MAX_NODE_BYTES;
  const byUser = Map.groupBy(slow, ({ socket }) => userOf(socket));
  const tooSlow = slow.filter(({ socket, bytes }) => {
    const backlog = backlogs.get(socket.conn);
    const again = bytes > MAX_LASTING_BYTES && backlog?.wasSlow === true;
    const own = sum(byUser.get(userOf(socket)) as typeof waiting);
    return again || bytes > MAX_SOCKET_BYTES || own > MAX_USER_BYTES || nodeIsFull;
  });
  for (const { socket, bytes } of waiting) {
    const backlog = backlogs.get(socket.conn);
    if (backlog !== undefined) backlog.wasSlow = bytes > MAX_LASTING_BYTES;
  }
  return tooSlow.map(({ socket }) => socket);
}

/**
 * Closes the connection under a socket once all that was sent has left. A stock client then connects again, but stays away
 * after `socket.disconnect()` (docs/reference.md, How a connection ends).
 */
export function closeConnection({ conn }: Pick<AnySocket, "conn">): void {
  conn.close();
}

/** Ends the connection at once, and drops what waits for its client. The client may come back. */
export function terminate({ conn }: Pick<AnySocket, "conn">, why: Termination): void {
  const { socket } = internals(conn).transport;
  const backlog = backlogs.get(conn);
  if (backlog !== undefined) backlog.terminated ??= why;
  const answers = [...(backlog?.answers ?? [])];
  conn.close(true);
  // Without this a WebSocket holds what was not read for 30 s, while it waits for the other side to close.
  socket?.terminate();
  for (const connection of answers) if (connection.writableLength > SLOW_BYTES) connection.destroy();
}

/** Why `terminate` ended a connection; null for one that it did not end. */
export const terminationOf = (conn: Conn): Termination | null => backlogs.get(conn)?.terminated ?? null;

/**
 * Waits until all that was sent has left engine.io's list, so that a long replay does not fill the memory.
 * @returns false when the client is gone, or was terminated because it did not read in time
 */
export async function drained(socket: AnySocket): Promise<boolean> {
  const { conn } = socket;
  if (internals(conn).writeBuffer.length === 0) return !socket.disconnected;
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const onDrain = () => resolve(true);
  const onClose = () => resolve(false);
  const timer = setTimeout(() => {
    terminate(socket, "slow reader");
    resolve(false);
  }, DRAIN_TIMEOUT_MS);
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
