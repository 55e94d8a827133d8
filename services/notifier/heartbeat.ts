/**
 * The pings of WebSockets, by one timer for all of them: engine.io has two for each socket. The times of the pings are
 * spread, so that sockets that connected together are not pinged together. A client that sent nothing for PING_TIMEOUT_MS
 * after its ping is gone.
 *
 * Thousands of sockets at rest do nothing but answer pings, so an answer ends where it arrives, before ws and engine.io
 * take it apart.
 */
import type { Socket as Connection } from "node:net";
import type { Socket } from "socket.io";
import { openConnection, textFrame, writePast } from "./frames.ts";

/** Milliseconds between two pings of a socket, and those that its client has to answer. Clients are told both. */
export const PING_INTERVAL_MS = 25_000;
export const PING_TIMEOUT_MS = 20_000;

/**
 * Milliseconds between two moments of pings. Each socket has one of SLOTS moments. Few moments with many pings cost less than
 * many with few; those of 10,000 sockets have 200.
 */
const TICK_MS = 500;
const SLOTS = PING_INTERVAL_MS / TICK_MS;
const TIMEOUT_SLOTS = PING_TIMEOUT_MS / TICK_MS;

type Conn = Socket["conn"];

/** Parts of engine.io and ws that their types leave out. */
interface Internals {
  pingIntervalTimer: NodeJS.Timeout | null;
  transport: { socket?: { _socket?: Connection | null; _receiver?: Receiver } };
  sendPacket(type: "ping"): void;
  onClose(reason: "ping timeout"): void;
}
/** ws' reader of frames: 0 is the state before a frame, and there is none of a message that comes in parts. */
interface Receiver {
  _state: number;
  _bufferedBytes: number;
  _fragmented: number;
}
const internals = (conn: Conn): Internals => conn as unknown as Internals;

/** engine.io's ping as a frame. */
const PING = textFrame("2");

const PONG = "3".charCodeAt(0);

/** Whether bytes are a client's pong: a whole text of one character, masked (RFC 6455 §5.2). */
const isPong = (bytes: Buffer): boolean =>
  bytes.length === 7 &&
  bytes[0] === 0x81 &&
  bytes[1] === 0x81 &&
  ((bytes[2] as number) ^ (bytes[6] as number)) === PONG;

const isBetweenFrames = ({ _state, _bufferedBytes, _fragmented }: Receiver): boolean =>
  _state === 0 && _bufferedBytes === 0 && _fragmented === 0;

/** Takes pongs out of what a WebSocket reads from its connection. */
function takePongs(conn: Conn, onPong: () => void): void {
  const { _socket: connection, _receiver: receiver } = internals(conn).transport.socket ?? {};
  const [read] = (connection?.listeners("data") ?? []) as ((bytes: Buffer) => void)[];
  if (connection == null || receiver === undefined || read === undefined) return;
  connection.off("data", read);
  connection.on("data", (bytes: Buffer) => {
    if (isPong(bytes) && isBetweenFrames(receiver)) onPong();
    else read.call(connection, bytes);
  });
}

/** Bytes that came from a client since its connection opened. */
const bytesFrom = (conn: Conn): number => internals(conn).transport.socket?._socket?.bytesRead ?? NaN;

export class Heartbeat {
  /** By its moment, the bytes that each client had sent at its last ping. */
  readonly #slots = Array.from({ length: SLOTS }, () => new Map<Conn, number>());
  #size = 0;
  /** The present moment, and the one that the next socket gets. */
  #now = 0;
  #next = 0;
  #timer: NodeJS.Timeout | undefined;

  /**
   * Takes the pings of a WebSocket over from engine.io, until `remove`.
   * @param onPong called for each answer
   */
  add(conn: Conn, onPong: () => void): void {
    const { pingIntervalTimer } = internals(conn);
    if (pingIntervalTimer !== null) clearTimeout(pingIntervalTimer);
    // engine.io would set a timer again that is only cleared.
    internals(conn).pingIntervalTimer = null;
    takePongs(conn, onPong);
    this.#next = (this.#next + 1) % SLOTS;
    this.#slots[this.#next]?.set(conn, NaN);
    this.#size += 1;
    this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
  }

  remove(conn: Conn): void {
    if (!this.#slots.some((slot) => slot.delete(conn))) return;
    this.#size -= 1;
    if (this.#size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #tick(): void {
    this.#now = (this.#now + 1) % SLOTS;
    const due = this.#slots[(this.#now - TIMEOUT_SLOTS + SLOTS) % SLOTS] ?? [];
    for (const [conn, bytes] of due) if (bytes === bytesFrom(conn)) internals(conn).onClose("ping timeout");
    const slot = this.#slots[this.#now];
    for (const conn of slot?.keys() ?? []) {
      slot?.set(conn, bytesFrom(conn));
      const connection = openConnection(conn);
      if (connection === null) internals(conn).sendPacket("ping");
      else writePast(conn, connection, PING);
    }
  }
}
