/**
 * What a client may send: bounded before it is parsed. A connection opens with one frame, which may be long, since it
 * names streams and cursors; all that follow are short and cost a budget, also those that nobody listens to. A client
 * that goes beyond it is cut off.
 */
import type { Socket } from "socket.io";
import { MAX_STREAMS } from "./handshake.ts";
import { cutOff } from "./slow-client.ts";

/** Bytes of the longest opening frame: as many streams, and cursors with ids, as a socket has room for. */
export const MAX_HANDSHAKE_BYTES = 800_000;
/** Characters of any later frame. */
const MAX_FRAME_CHARS = 16 * 1024;
/** Frames that a client may send at once, and each second after that; one more is paid for each kilobyte. */
const FRAMES_AT_ONCE = 200;
const FRAMES_PER_SECOND = 50;
const CHARS_PER_POINT = 1024;
/** How a socket.io client asks for its socket: message (engine.io has taken off its own 4), CONNECT. */
const CONNECT = "0";
/** Brackets and quotes of the longest opening frame: a name for each stream; name, seq and id for each cursor. */
const MAX_BRACKETS = MAX_STREAMS + 100;
const MAX_QUOTES = MAX_STREAMS * 10 + 100;

const [BRACKET, BRACE, QUOTE, SEPARATOR] = [0x5b, 0x7b, 0x22, 0x1e];

function count(text: string, ...codes: (number | undefined)[]): number {
  let found = 0;
  for (let at = 0; at < text.length; at++) if (codes.includes(text.charCodeAt(at))) found += 1;
  return found;
}

/** Whether an opening frame can be one: deep or wide JSON would hold up the process while it is parsed. */
const mayOpen = (frame: string): boolean =>
  frame.startsWith(CONNECT) &&
  frame.length <= MAX_HANDSHAKE_BYTES &&
  (frame.length <= MAX_FRAME_CHARS ||
    (count(frame, BRACKET, BRACE) <= MAX_BRACKETS && count(frame, QUOTE) <= MAX_QUOTES));

/** Tokens in a bucket: refilled by time. */
export class Budget {
  #left = FRAMES_AT_ONCE;
  #at: number;

  /** @param now milliseconds of a clock that never goes back */
  constructor(now = performance.now()) {
    this.#at = now;
  }

  /** Points that are left; less than none are owed. */
  left(now = performance.now()): number {
    this.#left = Math.min(FRAMES_AT_ONCE, this.#left + ((now - this.#at) / 1000) * FRAMES_PER_SECOND);
    this.#at = now;
    return this.#left;
  }

  /** @returns whether there was enough */
  spend(points: number, now = performance.now()): boolean {
    this.#left = this.left(now) - points;
    return this.#left >= 0;
  }

  /** Whether all that was ever spent has come back. */
  isFull(now = performance.now()): boolean {
    return this.left(now) === FRAMES_AT_ONCE;
  }
}

interface Transport {
  name: string;
  /** A WebSocket's own. */
  socket?: { on(event: "ping", listener: () => void): void };
  onData(payload: string): void;
}

/** Cuts off a connection whose client sends what it may not, or too much. */
export function guardFrames(conn: Socket["conn"]): void {
  const budget = new Budget();
  let opened = false;
  const spend = (points: number): void => {
    if (!budget.spend(points)) cutOff({ conn });
  };

  conn.on("packet", ({ type, data }: { type: string; data?: unknown }) => {
    if (type !== "message") return spend(1);
    // Nothing that a client has to say is binary.
    if (typeof data !== "string") return cutOff({ conn });
    if (!opened) {
      opened = true;
      if (!mayOpen(data)) cutOff({ conn });
      return;
    }
    // Another CONNECT would be another socket on the same connection.
    if (data.length > MAX_FRAME_CHARS || data.startsWith(CONNECT)) return cutOff({ conn });
    spend(1 + Math.floor(data.length / CHARS_PER_POINT));
  });
  conn.on("upgrading", () => spend(1));
  const watchPings = (transport: Transport) => transport.socket?.on("ping", () => spend(1));
  conn.on("upgrade", watchPings);

  const transport = conn.transport as unknown as Transport;
  watchPings(transport);
  if (transport.name !== "polling") return;
  // A polled body holds many packets, which engine.io takes apart before it shows the first.
  const onData = transport.onData.bind(transport);
  transport.onData = (payload) => {
    if (count(payload, SEPARATOR) < FRAMES_AT_ONCE) onData(payload);
    else cutOff({ conn });
  };
}
