import type { Server, Socket } from "socket.io";
import type { Actor } from "../../core/kit.ts";
import type { Handshake } from "./handshake.ts";
import type { ServerFrames } from "./notifier.contract.ts";

export interface SocketData {
  actor: Actor;
  /** Milliseconds since 1970; null for a personal token that does not expire. */
  expiresAt: number | null;
  /** The client's request for streams; null once the socket is open. */
  handshake: Handshake | null;
  /** Whether the socket gets the streams of projects that its user joins later: its client named no streams. */
  follows: boolean;
  /** The streams that the socket listens to. */
  streams: Set<string>;
  /** Streams that the socket has no room for. */
  leftOut: number;
}

export type ClientSocket = Socket<never, ServerFrames, never, SocketData>;
export type PushServer = Server<never, ServerFrames, never, SocketData>;
