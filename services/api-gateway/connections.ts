/**
 * The connections of the HTTP server: how many one address may have, how long and how much a response may wait to be read,
 * and how connections end when the node stops. Sockets of the notifier, which the same server may carry, count for their
 * address; the notifier does everything else about them.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { retryLater } from "../../core/errors.ts";

/** Milliseconds in which a client must read a response. */
export const READ_WITHIN_MS = 30_000;
/** Bytes of responses that wait for one client, on all its connections. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** Bytes of responses that wait for all clients together. */
const MAX_ALL_WAITING_BYTES = 256 * 1024 * 1024;
/**
 * Milliseconds that a stopping node keeps idle connections. A request may already be on its way; on a closed connection
 * its client could not know whether it was carried out (RFC 9112 §9.6).
 */
const LINGER_MS = 1000;
/** Milliseconds that a stopping node gives to clients that read or send slowly. */
const DRAIN_MS = 2000;
/** Milliseconds that a stopping node gives to writes in progress: longer than any call may take. */
const FINISH_WRITES_MS = 10_000;

interface Connection {
  readonly socket: Socket;
  readonly address: string;
  /** The user or the address that the latest request counts for. */
  client: string;
  /** Requests whose responses are not complete. */
  readonly exchanges: Map<ServerResponse, IncomingMessage>;
  /** Whether the connection carries sockets of the notifier. */
  pushes: boolean;
}

export interface ConnectionSettings {
  /** Connections of one address; 0 for no bound. */
  perAddress: number;
  addressOf(socket: Socket): string;
  /** Whether the notifier handles a request. */
  isPush(request: IncomingMessage): boolean;
  /** Sends a problem to a connection that is one too many, and closes it. */
  refuse(socket: Duplex): void;
  /** Bounds of unread responses, for tests. */
  readWithinMs?: number;
  maxWaitingBytes?: number;
  maxAllWaitingBytes?: number;
}

const isRead = ({ method }: IncomingMessage): boolean => ["GET", "HEAD", "OPTIONS"].includes(method ?? "");

/** Bytes that the operating system has not taken yet. A pipelined response has no socket yet, and buffers its own. */
const waitingOn = ({ socket, exchanges }: Connection): number =>
  [...exchanges.keys()].reduce(
    (sum, response) => sum + (response.socket === null ? response.writableLength : 0),
    socket.writableLength,
  );

export class Connections {
  readonly #settings: Required<ConnectionSettings>;
  readonly #connections = new Map<Duplex, Connection>();
  readonly #perAddress = new Map<string, number>();
  /** Connections with an unread response, the longest wait first. */
  readonly #unread = new Set<Connection>();
  #server: Server | undefined;
  #onEmpty: (() => void) | undefined;

  constructor(settings: ConnectionSettings) {
    this.#settings = {
      readWithinMs: READ_WITHIN_MS,
      maxWaitingBytes: MAX_WAITING_BYTES,
      maxAllWaitingBytes: MAX_ALL_WAITING_BYTES,
      ...settings,
    };
  }

  /** Open connections. */
  get size(): number {
    return this.#connections.size;
  }

  /** Milliseconds in which a client must read a response, or a part of one that goes on. */
  get readWithinMs(): number {
    return this.#settings.readWithinMs;
  }

  /** Tracks the connections of a server. */
  watch(server: Server): void {
    this.#server = server;
    server.on("connection", (socket: Socket) => this.#open(socket));
    server.on("upgrade", (_request, socket: Duplex) => this.#release(socket));
  }

  /** Tracks a response, before its request is read. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    const connection = this.#connections.get(request.socket);
    if (connection === undefined) return;
    if (this.#settings.isPush(request)) connection.pushes = true;
    connection.exchanges.set(response, request);
    if (this.#onEmpty !== undefined) response.setHeader("Connection", "close");
    response.once("prefinish", () => this.#mustBeRead(connection, response));
    response.once("close", () => {
      connection.exchanges.delete(response);
      if (this.#onEmpty !== undefined && connection.exchanges.size === 0) connection.socket.destroySoon();
    });
  }

  /**
   * Whether to serve a request: not on a refused connection, and not behind the last response of a connection that
   * ends.
   */
  serves(request: IncomingMessage): boolean {
    const connection = this.#connections.get(request.socket);
    return connection !== undefined && (this.#onEmpty === undefined || connection.exchanges.size === 1);
  }

  /**
   * Notes which client a request counts for.
   * @param bytes of the response, if they are known
   * @throws Problem overloaded while the client leaves too many bytes unread
   */
  mustHaveRoom(request: IncomingMessage, client: string, bytes = 0): void {
    const connection = this.#connections.get(request.socket);
    if (connection === undefined) return;
    connection.client = client;
    if (this.#unread.size > 0 && this.#waitingFor(client) + bytes > this.#settings.maxWaitingBytes)
      throw retryLater("overloaded", "Read the earlier responses first");
  }

  /**
   * Ends each connection after its next response, and an idle one after LINGER_MS, whatever clients keep open. Writes in
   * progress are finished.
   */
  async drain(): Promise<void> {
    if (this.#server?.listening !== true) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    // Node would close idle connections as soon as its server closes.
    this.#server.closeIdleConnections = () => {};
    this.#server.close();
    for (const connection of this.#own()) {
      // Of several pipelined responses the last one ends the connection.
      const last = [...connection.exchanges.keys()].at(-1);
      if (last !== undefined && !last.headersSent) last.setHeader("Connection", "close");
    }
    const cutAll = (which: (connection: Connection) => boolean) => () =>
      this.#own()
        .filter(which)
        .forEach(({ socket }) => socket.destroy());
    const isWriting = ({ exchanges }: Connection) =>
      [...exchanges].some(
        ([response, request]) => !isRead(request) && request.complete && !response.writableEnded,
      );
    const timers = [
      setTimeout(
        cutAll(({ exchanges }) => exchanges.size === 0),
        LINGER_MS,
      ),
      setTimeout(
        cutAll((connection) => !isWriting(connection)),
        DRAIN_MS,
      ),
      setTimeout(
        cutAll(() => true),
        FINISH_WRITES_MS,
      ),
    ];
    this.#checkEmpty();
    await promise;
    timers.forEach(clearTimeout);
  }

  #own(): Connection[] {
    return [...this.#connections.values()].filter(({ pushes }) => !pushes);
  }

  #open(socket: Socket): void {
    const address = this.#settings.addressOf(socket);
    const held = this.#perAddress.get(address) ?? 0;
    if (this.#settings.perAddress > 0 && held >= this.#settings.perAddress)
      return this.#settings.refuse(socket);
    this.#perAddress.set(address, held + 1);
    this.#connections.set(socket, { socket, address, client: address, exchanges: new Map(), pushes: false });
    socket.once("close", () => {
      this.#release(socket);
      const left = (this.#perAddress.get(address) as number) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    });
  }

  #release(socket: Duplex): void {
    const connection = this.#connections.get(socket);
    if (connection !== undefined) this.#unread.delete(connection);
    this.#connections.delete(socket);
    this.#checkEmpty();
  }

  #checkEmpty(): void {
    if (this.#onEmpty !== undefined && this.#own().length === 0) this.#onEmpty();
  }

  #waitingFor(client: string): number {
    let bytes = 0;
    for (const connection of this.#unread) if (connection.client === client) bytes += waitingOn(connection);
    return bytes;
  }

  /** Gives the client its time to read, from the moment that the response is complete. */
  #mustBeRead(connection: Connection, response: ServerResponse): void {
    const { socket } = connection;
    if (socket.writableLength === 0) return;
    this.#unread.add(connection);
    const timer = setTimeout(() => socket.destroy(), this.#settings.readWithinMs);
    response.once("close", () => {
      clearTimeout(timer);
      this.#unread.delete(connection);
    });
    let all = 0;
    for (const one of this.#unread) all += waitingOn(one);
    for (const longest of this.#unread) {
      if (all <= this.#settings.maxAllWaitingBytes) break;
      all -= waitingOn(longest);
      longest.socket.destroy();
    }
  }
}
