import type { ProblemDocument } from "../../core/errors.ts";
import type { EventPage, LoggedEvent, Position, StreamStart } from "../../core/events.ts";
import { hint, remote, type ServiceContract } from "../../core/kit.ts";
import type { EventType } from "../events.ts";

/** What happened after a client's cursors. Streams are named `project:<id>` or `user:<id>`. */
export interface Sync {
  /** In each stream's order. */
  events: LoggedEvent[];
  /** Of each stream that the client has now: all that the next sync needs. */
  cursors: Record<string, string>;
  /** Streams without a cursor that the client has from now on. */
  gained: string[];
  /** Streams with a cursor that the caller may not read. */
  lost: string[];
  /** Streams whose cursor the log does not go on from. */
  reset: string[];
  /** More events are there already. */
  more: boolean;
  /** Streams beyond those that one client may have; absent without any. */
  left_out?: number;
}

export interface SyncParams {
  cursors?: Record<string, string>;
  limit?: number;
  /** Seconds. */
  wait?: number;
}

/** One stream after a cursor, for a response of server-sent events. */
export interface Followed {
  events: LoggedEvent[];
  /** Where the stream's reader is now; null when the caller may not read the stream. */
  cursor: string | null;
  /** The log does not go on from the cursor. */
  isReset: boolean;
}

/** The log over HTTP. */
export interface NotifierContract extends ServiceContract {
  name: "notifier";
  actions: {
    list_events: { params: { after?: string; limit?: number }; result: EventPage };
    sync: { params: SyncParams; result: Sync };
    /** Where a response of server-sent events begins. */
    stream_events: { params: { after?: string }; result: StreamStart };
    follow: { params: StreamStart & { wait: number }; result: Followed };
  };
}

export const notifier = remote<NotifierContract>("notifier");

/** Nobody needs the answers of these calls of a gateway any more: their notifiers answer at once with what they have. */
export const waitsOver = hint<{ calls: string[] }>("notifier.waits_over");

/** Where a client's stream is. */
export interface StreamPosition extends Position {
  /** Everything after the client's cursor was sent. */
  recovered: boolean;
}

export interface Ready {
  streams: Record<string, StreamPosition>;
  /** Streams that the socket has no room for; absent when there are none. */
  left_out?: number;
}

export interface StreamClosed {
  stream: string;
  problem: ProblemDocument;
}

/** What the server says about a socket and its streams, in addition to the events of the streams. */
export interface Frames {
  ready: Ready;
  stream_closed: StreamClosed;
  session_ended: ProblemDocument;
  token_expired: ProblemDocument;
}

/** All that the server sends on an open socket. */
export type ServerFrames = { [Name in keyof Frames]: (frame: Frames[Name]) => void } & {
  [Type in EventType]: (event: LoggedEvent) => void;
};

/** `auth` of a client's handshake. */
export interface HandshakeAuth {
  token: string;
  streams?: string[] | null;
  cursors?: Record<string, Position | number>;
}

/** The requests of an open socket, each with the acknowledgement that says it was done. */
export interface SocketRequests {
  subscribe: {
    request: { stream: string; cursor?: Position | number };
    done: StreamPosition & { stream: string };
  };
  unsubscribe: { request: { stream: string }; done: { stream: string } };
  authenticate: { request: { token: string }; done: { expires_at: string | null } };
}
