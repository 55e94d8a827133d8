/**
 * Limits on what a client sends, applied before it is parsed. The first frame opens the socket and may be long, because it
 * names streams and cursors. Each later frame is short and spends points, even if nothing listens to it. A connection that
 * exceeds a limit is terminated.
 */
import type { Socket } from "socket.io";
import { MAX_STREAMS } from "./handshake.ts";
import { terminate } from "./slow-client.ts";
import { BUCKET_POINTS, TokenBucket } from "./token-bucket.ts";

/** Bytes of the longest opening frame: it names as many streams, and cursors with ids, as a socket has room for. */
export const MAX_HANDSHAKE_BYTES = 800_000;
/** Characters of any later frame. */
const MAX_FRAME_CHARS = 16 * 1024;
/** A frame costs one point, and one more for each such number of characters. */
const CHARS_PER_POINT = 1024;
/** Packets that one polled body may hold. */
const MAX_POLL_PACKETS = BUCKET_POINTS;
/** The first character of socket.io's CONNECT packet. engine.io has removed its own prefix, 4 for a message. */
const CONNECT = "0";
/** Brackets and quotes of the longest opening frame: a name for each stream, and name, seq and id for each cursor. */
const MAX_BRACKETS = MAX_STREAMS + 100;
const MAX_QUOTES = MAX_STREAMS * 10 + 100;

const [BRACKET, BRACE, QUOTE, SEPARATOR] = [0x5b, 0x7b, 0x22, 0x1e];

function count(text: string, ...codes: (number | undefined)[]): number {
  let found = 0;
  for (let at = 0; at < text.length; at++) if (codes.includes(text.charCodeAt(at))) found += 1;
  return found;
}

/** Whether a frame can open a socket. Deep or wide JSON would block the process while it is parsed. */
const mayOpen = (frame: string): boolean =>
  frame.startsWith(CONNECT) &&
  frame.length <= MAX_HANDSHAKE_BYTES &&
  (frame.length <= MAX_FRAME_CHARS ||
    (count(frame, BRACKET, BRACE) <= MAX_BRACKETS && count(frame, QUOTE) <= MAX_QUOTES));

interface Transport {
  name: string;
  /** Of a WebSocket alone. */
  socket?: { on(event: "ping", listener: () => void): void };
  onData(payload: string): void;
}

/**
 * Terminates a connection whose client sends too much, or something that no client needs to send.
 * @returns spends a point, for what does not come as a packet of engine.io
 */
export function limitInbound(conn: Socket["conn"]): () => void {
  const bucket = new TokenBucket();
  let opened = false;
  const spend = (points: number): void => {
    if (!bucket.spend(points)) terminate({ conn }, "flood");
  };
  const spendOne = (): void => spend(1);

  conn.on("packet", ({ type, data }: { type: string; data?: unknown }) => {
    if (type !== "message") return spendOne();
    // No request of a client is binary.
    if (typeof data !== "string") return terminate({ conn }, "flood");
    if (!opened) {
      opened = true;
      if (!mayOpen(data)) terminate({ conn }, "flood");
      return;
    }
    // Another CONNECT would open another socket on the same connection.
    if (data.length > MAX_FRAME_CHARS || data.startsWith(CONNECT)) return terminate({ conn }, "flood");
    spend(1 + Math.floor(data.length / CHARS_PER_POINT));
  });
  const watchPings = (transport: Transport) => transport.socket?.on("ping", spendOne);
  const transport = conn.transport as unknown as Transport;
  watchPings(transport);
  if (transport.name !== "polling") return spendOne;
  conn.on("upgrading", spendOne);
  conn.on("upgrade", watchPings);
  // A polled body holds many packets, and engine.io splits it before it emits the first.
  const onData = transport.onData.bind(transport);
  transport.onData = (payload) => {
    if (count(payload, SEPARATOR) < MAX_POLL_PACKETS) onData(payload);
    else terminate({ conn }, "flood");
  };
  return spendOne;
}
