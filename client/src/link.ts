/** A connection by socket.io. */
import { io } from "socket.io-client";
import type { Problem } from "./problem.ts";
import { CODES, type ConnectionCode, type Position, type Transport } from "./types.ts";

/** What a client does after a connection has ended. */
export type Next = "reconnect" | "refresh" | "login" | "stop";

export interface End {
  next: Next;
  code: ConnectionCode;
  problem: Problem | null;
}

export interface LinkHandlers {
  /** The socket is open; what the cursors ask for follows. */
  opened(): void;
  /** A frame or an event. */
  received(name: string, payload: unknown): void;
  /** Called once. Nothing comes after it. */
  ended(end: End): void;
}

export type Answer = { problem?: Problem } & Record<string, unknown>;

/** What a client says when it connects. */
export interface Handshake {
  token: string;
  /** The last event that it has of each stream. */
  cursors: Record<string, Position>;
  /** The only streams that it wants; absent for all. */
  streams?: string[];
}

/** One connection to the server, from its handshake to its end. It does nothing by itself: see connection.ts. */
export interface Link {
  /** How it reaches the server. */
  readonly transport: Transport;
  /**
   * Sends a request when those before it have been answered.
   * @returns its answer; rejects when the connection ends before
   */
  ask(name: string, request: object, timeoutMs?: number): Promise<Answer>;
  /** Ends the connection from this side. */
  close(end: { code: ConnectionCode }): void;
}

/** A server that is reached, and has not taken the handshake after this time, is given up. */
const OPEN_MS = 20_000;
const ANSWER_MS = 30_000;

/** What a refused handshake means. */
function refused(problem: Problem): End {
  const { status } = problem;
  if (status === 401) return { next: "refresh", code: CODES.expired, problem };
  if (status === 429 || status >= 500) return { next: "reconnect", code: CODES.unreachable, problem };
  return { next: "stop", code: CODES.refused, problem };
}

export class SocketLink implements Link {
  readonly #handlers: LinkHandlers;
  readonly #socket: ReturnType<typeof io>;
  readonly #timer: ReturnType<typeof setTimeout>;
  /** What the server said before it ended the socket. */
  #told: End = { next: "stop", code: CODES.ended, problem: null };
  #isOver = false;
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Opens a connection.
   * @param url the origin of the sockets
   * @param auth the handshake
   * @param transports by which it may go: the first one opens it, and it changes over to the others where they work
   * @param openMs in which the server must be reached, in milliseconds
   */
  constructor(
    url: string,
    auth: object,
    handlers: LinkHandlers,
    transports: ("websocket" | "polling")[] = ["websocket"],
    openMs = OPEN_MS,
  ) {
    this.#handlers = handlers;
    this.#socket = io(url, {
      path: "/ws",
      transports,
      forceNew: true,
      reconnection: false,
      timeout: openMs,
      auth,
    });
    this.#timer = setTimeout(() => this.close({ code: CODES.silent }), OPEN_MS);
    this.#socket.on("connect", () => {
      clearTimeout(this.#timer);
      this.#handlers.opened();
    });
    this.#socket.onAny((name: string, payload: unknown) => this.#receive(name, payload));
    this.#socket.on("connect_error", (error: Error & { data?: Problem }) => {
      this.#end(
        error.data ? refused(error.data) : { next: "reconnect", code: CODES.unreachable, problem: null },
      );
    });
    this.#socket.on("disconnect", (reason) => {
      const isByServer = reason === "io server disconnect";
      this.#end(isByServer ? this.#told : { next: "reconnect", code: CODES.lost, problem: null });
    });
  }

  get transport(): Transport {
    return this.#socket.io.engine?.transport?.name === "polling" ? "polling" : "websocket";
  }

  ask(name: string, request: object, timeoutMs = ANSWER_MS): Promise<Answer> {
    const answer = this.#last.then(async (): Promise<Answer> => {
      if (this.#isOver) throw new Error("the connection has ended");
      try {
        return (await this.#socket.timeout(timeoutMs).emitWithAck(name, request)) as Answer;
      } catch (error) {
        this.close({ code: CODES.silent });
        throw error;
      }
    });
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  close({ code }: { code: ConnectionCode }): void {
    this.#end({ next: "reconnect", code, problem: null });
  }

  #receive(name: string, payload: unknown): void {
    if (this.#isOver) return;
    if (name === "session_ended")
      this.#told = { next: "login", code: CODES.login, problem: payload as Problem };
    if (name === "token_expired")
      this.#told = { next: "refresh", code: CODES.expired, problem: payload as Problem };
    this.#handlers.received(name, payload);
  }

  #end(end: End): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    // The socket's own "disconnect", which this makes, finds the connection over.
    this.#socket.disconnect();
    this.#handlers.ended(end);
  }
}
