/**
 * The connections of the HTTP server, bounded: how many one address may hold, how long and how much an answer may wait to
 * be read, and how they end when the node stops. Sockets of the notifier, which the same server may carry, count for
 * their address and are the notifier's in everything else.
 */
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import type { Socket } from "node:net";
import { retryLater } from "../../core/errors.ts";

/** Milliseconds in which a client reads an answer. */
const READ_WITHIN_MS = 30_000;
/** Bytes of answers that wait for one client, over all its connections. */
const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** Bytes of answers that wait for all clients together. */
const MAX_ALL_WAITING_BYTES = 256 * 1024 * 1024;
/**
 * Milliseconds that a node which stops keeps idle connections: a request may be on its way already, and one that meets
 * a closed connection is lost for a client that can't know whether it was carried out (RFC 9112 §9.6).
 */
const LINGER_MS = 1000;
/** Milliseconds that a node which stops gives to clients that read, or send, slowly. */
const DRAIN_MS = 2000;
/** Milliseconds that it gives to writes which are under way: longer than any call may take. */
const FINISH_WRITES_MS = 10_000;

interface Link {
  readonly socket: Socket;
  readonly address: string;
  /** The user or the address that the latest request counts for. */
  client: string;
  /** Requests that came and are not answered to the end. */
  readonly exchanges: Map<ServerResponse, IncomingMessage>;
  /** Whether the connection carries sockets of the notifier. */
  pushes: boolean;
}

export interface ConnectionSettings {
  /** Connections of one address; 0 for no bound. */
  perAddress: number;
  addressOf(socket: Socket): string;
  /** Whether a request is the notifier's. */
  isPush(request: IncomingMessage): boolean;
  /** Answers a connection that is one too many, and ends it. */
  refuse(socket: Duplex): void;
  /** Bounds of answers that wait to be read, where they are not the usual ones. */
  readWithinMs?: number;
  maxWaitingBytes?: number;
  maxAllWaitingBytes?: number;
}

const isRead = ({ method }: IncomingMessage): boolean => ["GET", "HEAD", "OPTIONS"].includes(method ?? "");

/** Bytes that the operating system has not taken yet. An answer behind another one has no socket, and holds its own. */
const waitingOn = ({ socket, exchanges }: Link): number =>
  [...exchanges.keys()].reduce(
    (sum, response) => sum + (response.socket === null ? response.writableLength : 0),
    socket.writableLength,
  );

export class Connections {
  readonly #settings: Required<ConnectionSettings>;
  readonly #links = new Map<Duplex, Link>();
  readonly #perAddress = new Map<string, number>();
  /** Connections with an answer that was not read at once, the longest wait first. */
  readonly #unread = new Set<Link>();
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

  /** Takes the connections of this server into care. */
  watch(server: Server): void {
    this.#server = server;
    server.on("connection", (socket: Socket) => this.#open(socket));
    server.on("upgrade", (_request, socket: Duplex) => this.#release(socket));
  }

  /** Every answer begins here, before its request is looked at. */
  begin(request: IncomingMessage, response: ServerResponse): void {
    const link = this.#links.get(request.socket);
    if (link === undefined) return;
    if (this.#settings.isPush(request)) link.pushes = true;
    link.exchanges.set(response, request);
    if (this.#onEmpty !== undefined) response.setHeader("Connection", "close");
    response.once("prefinish", () => this.#mustBeRead(link, response));
    response.once("close", () => {
      link.exchanges.delete(response);
      if (this.#onEmpty !== undefined && link.exchanges.size === 0) link.socket.destroySoon();
    });
  }

  /**
   * Whether a request is to be served: not on a connection that is being refused, and not behind the last answer of one
   * that ends.
   */
  serves(request: IncomingMessage): boolean {
    const link = this.#links.get(request.socket);
    return link !== undefined && (this.#onEmpty === undefined || link.exchanges.size === 1);
  }

  /**
   * Says for whom a request counts.
   * @param bytes that the answer is going to have, where that is known
   * @throws Problem overloaded while too much waits to be read by that client already
   */
  mustHaveRoom(request: IncomingMessage, client: string, bytes = 0): void {
    const link = this.#links.get(request.socket);
    if (link === undefined) return;
    link.client = client;
    if (this.#unread.size > 0 && this.#waitingFor(client) + bytes > this.#settings.maxWaitingBytes)
      throw retryLater("overloaded", "Read the earlier responses first");
  }

  /**
   * Ends the connections, each after its next answer; those that ask for nothing more after a moment, whatever clients
   * keep open. A write that is under way is finished.
   */
  async drain(): Promise<void> {
    if (this.#server?.listening !== true) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onEmpty = resolve;
    // Node ends idle connections as soon as its server closes: here they have their moment.
    this.#server.closeIdleConnections = () => {};
    this.#server.close();
    for (const link of this.#own()) {
      // Of several answers in a row the last one ends the connection.
      const last = [...link.exchanges.keys()].at(-1);
      if (last !== undefined && !last.headersSent) last.setHeader("Connection", "close");
    }
    const cutAll = (which: (link: Link) => boolean) => () =>
      this.#own()
        .filter(which)
        .forEach(({ socket }) => socket.destroy());
    const isWriting = ({ exchanges }: Link) =>
      [...exchanges].some(
        ([response, request]) => !isRead(request) && request.complete && !response.writableEnded,
      );
    const timers = [
      setTimeout(
        cutAll(({ exchanges }) => exchanges.size === 0),
        LINGER_MS,
      ),
      setTimeout(
        cutAll((link) => !isWriting(link)),
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

  #own(): Link[] {
    return [...this.#links.values()].filter(({ pushes }) => !pushes);
  }

  #open(socket: Socket): void {
    const address = this.#settings.addressOf(socket);
    const held = this.#perAddress.get(address) ?? 0;
    if (this.#settings.perAddress > 0 && held >= this.#settings.perAddress)
      return this.#settings.refuse(socket);
    this.#perAddress.set(address, held + 1);
    this.#links.set(socket, { socket, address, client: address, exchanges: new Map(), pushes: false });
    socket.once("close", () => {
      this.#release(socket);
      const left = (this.#perAddress.get(address) as number) - 1;
      if (left === 0) this.#perAddress.delete(address);
      else this.#perAddress.set(address, left);
    });
  }

  #release(socket: Duplex): void {
    const link = this.#links.get(socket);
    if (link !== undefined) this.#unread.delete(link);
    this.#links.delete(socket);
    this.#checkEmpty();
  }

  #checkEmpty(): void {
    if (this.#onEmpty !== undefined && this.#own().length === 0) this.#onEmpty();
  }

  #waitingFor(client: string): number {
    let bytes = 0;
    for (const link of this.#unread) if (link.client === client) bytes += waitingOn(link);
    return bytes;
  }

  /** The answer is whole: from now on it is the client's turn. */
  #mustBeRead(link: Link, response: ServerResponse): void {
    const { socket } = link;
    if (socket.writableLength === 0) return;
    this.#unread.add(link);
    const timer = setTimeout(() => socket.destroy(), this.#settings.readWithinMs);
    response.once("close", () => {
      clearTimeout(timer);
      this.#unread.delete(link);
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
