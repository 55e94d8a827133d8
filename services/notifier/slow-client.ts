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

/** What is known of a connection that is, or was, out of the ordinary. */
interface Backlog {
  /** Connections on which polls were answered. */
  answers: Set<Connection>;
  /** Whether too much waited at the last beat. */
  wasSlow: boolean;
  /** Null as long as the server has not ended the connection at once. */
  terminated: Termination | null;
}

/** The backlog of a connection lies at the connection: each frame asks for it, and few have one. */
const BACKLOG = Symbol("backlog");

const knownBacklog = (conn: Conn & { [BACKLOG]?: Backlog }): Backlog | undefined => conn[BACKLOG];

const backlogOf = (conn: Conn & { [BACKLOG]?: Backlog }): Backlog =>
  (conn[BACKLOG] ??= { answers: new Set(), wasSlow: false, terminated: null });

/** Parts of engine.io that its types leave out. */
type Internals = {
  server: object;
  readyState: string;
  writeBuffer: { data?: string | Buffer }[];
  transport: { name: string; socket?: { bufferedAmount: number; terminate(): void } };
};
const internals = (conn: Conn): Internals => conn as unknown as Internals;

/** A poll is answered on this connection, and the answer waits there until the client reads it. */
export function answeredOn(conn: Conn, connection: Connection): void {
  const { answers } = backlogOf(conn);
  if (answers.has(connection)) return;
  answers.add(connection);
  connection.once("close", () => answers.delete(connection));
}

/** Bytes that wait for a client, about. */
export function waitingBytes(conn: Conn, backlog = knownBacklog(conn)): number {
  const { writeBuffer, transport } = internals(conn);
  let bytes = transport.socket?.bufferedAmount ?? 0;
  for (const { data } of writeBuffer) bytes += FRAME_OVERHEAD_BYTES + (data?.length ?? 0);
  if (backlog !== undefined) for (const { writableLength } of backlog.answers) bytes += writableLength;
  return bytes;
}

/** Whether more waits for a client than the server holds even for a moment. */
export const isTooSlow = ({ conn }: AnySocket): boolean => waitingBytes(conn) > MAX_SOCKET_BYTES;

/**
 * The connections for which something may wait, of each server: the sweep looks at no others. engine.io's writes and polling
 * clients are added by endpoint.ts, and each write past engine.io adds its connection if it leaves something.
 */
const written = new WeakMap<object, Set<Conn>>();

/** The sweep looks at a connection, as long as something waits for its client, or its client polls. */
export function mayWait(conn: Conn): void {
  const { server } = internals(conn);
  const conns = written.get(server);
  if (conns === undefined) written.set(server, new Set([conn]));
  else conns.add(conn);
}

/**
 * The connections for which too much waits: alone, with the others of their user, or with all of this node. Run once a beat.
 * @param userOf undefined for a connection without a socket, which other limits hold
 */
export function slowConnections(server: object, userOf: (conn: Conn) => string | undefined): Conn[] {
  const slow: { conn: Conn; user: string; bytes: number; again: boolean }[] = [];
  let ofNode = 0;
  const ofUsers = new Map<string, number>();
  const conns = written.get(server) ?? new Set();
  for (const conn of conns) {
    const { readyState, transport } = internals(conn);
    const known = knownBacklog(conn);
    const bytes = readyState === "closed" ? 0 : waitingBytes(conn, known);
    if (readyState === "closed" || (bytes === 0 && transport.name !== "polling")) conns.delete(conn);
    ofNode += bytes;
    const isLasting = bytes > MAX_LASTING_BYTES;
    const backlog = isLasting ? backlogOf(conn) : known;
    const again = isLasting && backlog?.wasSlow === true;
    if (backlog !== undefined) backlog.wasSlow = isLasting;
    const user = bytes > SLOW_BYTES ? userOf(conn) : undefined;
    if (user === undefined) continue;
    slow.push({ conn, user, bytes, again });
    ofUsers.set(user, (ofUsers.get(user) ?? 0) + bytes);
  }
  const nodeIsFull = ofNode > MAX_NODE_BYTES;
  return slow
    .filter(
      ({ user, bytes, again }) =>
        again || nodeIsFull || bytes > MAX_SOCKET_BYTES || (ofUsers.get(user) ?? 0) > MAX_USER_BYTES,
    )
    .map(({ conn }) => conn);
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
  const backlog = backlogOf(conn);
  backlog.terminated ??= why;
  const answers = [...backlog.answers];
  conn.close(true);
  // Without this a WebSocket holds what was not read for 30 s, while it waits for the other side to close.
  socket?.terminate();
  for (const connection of answers) if (connection.writableLength > SLOW_BYTES) connection.destroy();
}

/** Why `terminate` ended a connection; null for one that it did not end. */
export const terminationOf = (conn: Conn): Termination | null => knownBacklog(conn)?.terminated ?? null;

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
