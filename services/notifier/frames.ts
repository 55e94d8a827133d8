/**
 * Frames of the server, encoded once for all sockets that get them. A WebSocket gets the bytes of a whole frame by one write
 * on its connection: through engine.io and ws the same frame would be two writes and some twenty calls. engine.io still takes
 * what comes while it holds packets back, and all that goes to a client that polls.
 */
import type { Socket as Connection } from "node:net";
import type { Socket } from "socket.io";
import type { ServerFrames } from "./notifier.contract.ts";
import { mayWait } from "./slow-client.ts";

export interface Frame {
  /** socket.io's packet. */
  readonly packet: string;
  /** The WebSocket frame of that packet (RFC 6455 §5.2). */
  readonly bytes: Buffer;
}

/** engine.io's prefix of a message, and socket.io's of an event. */
const [MESSAGE, EVENT] = ["4", "2"];
/** The first byte of a frame that is one whole text. */
const WHOLE_TEXT = 0x81;
/** What the second byte says of a length that follows in two bytes, or in eight. */
const [LENGTH_16, LENGTH_64] = [126, 127];
/** `readyState` of a WebSocket that is open. */
const OPEN = 1;

/** ws' reader of frames. */
interface Receiver {
  /** 0 before a frame. */
  _state: number;
  _mask?: Buffer | undefined;
}

/** Parts of engine.io and ws that their types leave out. */
interface Internals {
  readyState: string;
  writeBuffer: unknown[];
  transport: {
    name: string;
    socket?: { readyState: number; _socket?: Connection; _receiver?: Receiver };
  };
  write(packet: string, options?: { wsPreEncodedFrame?: Buffer[] }): void;
}
const internals = (conn: Socket["conn"]): Internals => conn as unknown as Internals;

/** A text as a WebSocket frame of the server, which has no mask. */
export function textFrame(text: string): Buffer {
  const length = Buffer.byteLength(text);
  const head = length < LENGTH_16 ? 2 : length < 65_536 ? 4 : 10;
  const bytes = Buffer.allocUnsafe(head + length);
  bytes[0] = WHOLE_TEXT;
  if (head === 2) bytes[1] = length;
  else if (head === 4) {
    bytes[1] = LENGTH_16;
    bytes.writeUInt16BE(length, 2);
  } else {
    bytes[1] = LENGTH_64;
    bytes.writeBigUInt64BE(BigInt(length), 2);
  }
  bytes.write(text, head);
  return bytes;
}

/** An event of the server, encoded for any number of sockets. */
export function frameOf(name: string, payload: object): Frame {
  const packet = EVENT + JSON.stringify([name, payload]);
  return { packet, bytes: textFrame(MESSAGE + packet) };
}

/** The open connection under a WebSocket; null where engine.io holds packets back, and for a client that polls. */
export function openConnection(conn: Socket["conn"]): Connection | null {
  const { readyState, writeBuffer, transport } = internals(conn);
  if (readyState !== "open" || writeBuffer.length > 0 || transport.name !== "websocket") return null;
  const { socket } = transport;
  return socket?.readyState === OPEN ? (socket._socket ?? null) : null;
}

/** Forgets the mask of the client's last frame, which ws has as a part of all that came with it. */
export function forgetFrame(conn: Socket["conn"]): void {
  const { _receiver: receiver } = internals(conn).transport.socket ?? {};
  // It is of use within its frame alone.
  if (receiver?._state === 0) receiver._mask = undefined;
}

/** Has all that is written to a connection in this turn of the event loop leave in one write. */
export function writeTogether(connection: Pick<Connection, "cork" | "uncork">): void {
  connection.cork();
  setImmediate(() => connection.uncork());
}

/** Milliseconds that writes are held back at most. */
const HOLD_MS = 100;

const held = new WeakMap<Connection, NodeJS.Timeout>();

/** Holds back what is written to an open WebSocket, until `releaseWrites` or for HOLD_MS: it leaves in one write then. */
export function holdWrites(conn: Socket["conn"]): void {
  const connection = openConnection(conn);
  if (connection === null || held.has(connection)) return;
  connection.cork();
  held.set(connection, setTimeout(release, HOLD_MS, connection));
}

/** Has what `holdWrites` holds back leave. */
export function releaseWrites(conn: Socket["conn"]): void {
  const connection = internals(conn).transport.socket?._socket;
  if (connection != null) release(connection);
}

function release(connection: Connection): void {
  const timer = held.get(connection);
  if (timer === undefined) return;
  clearTimeout(timer);
  held.delete(connection);
  connection.uncork();
}

/** Writes to the open connection under a WebSocket, past engine.io. */
export function writePast(conn: Socket["conn"], connection: Connection, bytes: Buffer): void {
  connection.write(bytes);
  if (connection.writableLength > 0) mayWait(conn);
}

/** Sends frames in their order, after all that was sent before. @param bytes those of all frames */
export function send(conn: Socket["conn"], frames: readonly Frame[], bytes: Buffer): void {
  const connection = openConnection(conn);
  if (connection !== null) writePast(conn, connection, bytes);
  else for (const frame of frames) queue(conn, frame.packet, frame.bytes);
}

/** Tells one socket something, as `socket.emit` does, by one write. */
export function tell<Name extends keyof ServerFrames>(
  conn: Socket["conn"],
  name: Name,
  ...[payload]: Parameters<ServerFrames[Name]>
): void {
  const frame = frameOf(name, payload);
  send(conn, [frame], frame.bytes);
}

/** Hands a packet to engine.io, which sends it when the transport can take it. */
export function queue(conn: Socket["conn"], packet: string, bytes?: Buffer): void {
  internals(conn).write(packet, bytes === undefined ? {} : { wsPreEncodedFrame: [bytes] });
}
