/** A client that follows streams and records all that it sees. SSE and `POST /sync` become further implementations. */
import { Agent } from "node:http";
import type { Socket as TcpSocket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { io, type Socket } from "socket.io-client";
import type { Position } from "../../core/events.ts";
import { canariesIn, digestOf } from "./digest.ts";
import type { Signal } from "./recording.ts";
import { type Session, sessionOf, type User, type World } from "./world.ts";

export interface Subscriber {
  readonly name: string;
  readonly user: User;
  readonly isConnected: boolean;
  start(): void;
  /** Reads nothing until `resume`. */
  pause(): void;
  resume(): void;
  /** Disconnects until `comeBack`, and keeps its cursors. */
  leave(): void;
  comeBack(): void;
  stop(): void;
}

export interface SubscriberOptions {
  name: string;
  user: User;
  transport: "websocket" | "polling";
  /** Whether its token is renewed on the open socket; else it runs out. */
  renews: boolean;
  /** Of 127.0.0.0/8: the balancer keeps each address at one node. */
  address: string;
  /** Streams that it asks for from their first event on. */
  whole: string[];
}

/** Milliseconds before its token expires when a client renews it. */
const RENEW_MS = 20_000;
const RENEW_EVERY_MS = 3000;
const ACKNOWLEDGED_WITHIN_MS = 5000;
const AGAIN_AFTER_MS = 500;
/** Of a session that was refused a refresh: its refresh token would have been good for long. */
const LONG_MS = 86_400_000;
/** Packets of socket.io: CONNECT and EVENT. */
const [CONNECT, EVENT] = ["0", "2"];

type OneOfSignal = Signal extends infer One
  ? One extends Signal
    ? Omit<One, "at" | "client" | "connection">
    : never
  : never;

export class SocketSubscriber implements Subscriber {
  readonly name: string;
  readonly user: User;
  readonly #options: SubscriberOptions;
  readonly #world: World;
  readonly #signals: Signal[];
  readonly #socket: Socket;
  readonly #positions = new Map<string, Position>();
  #sent: Record<string, Position> = {};
  #session: Session | null = null;
  #connection = 0;
  #ready = new Set<string>();
  #renewing: NodeJS.Timeout | undefined;
  #isRenewing = false;
  #paused: TcpSocket | undefined;
  #stopped = false;

  constructor(options: SubscriberOptions, world: World, url: string, signals: Signal[]) {
    this.name = options.name;
    this.user = options.user;
    this.#options = options;
    this.#world = world;
    this.#signals = signals;
    for (const stream of options.whole) this.#positions.set(stream, { seq: 0, id: null });
    this.#socket = io(url, {
      path: "/ws",
      transports: [options.transport],
      autoConnect: false,
      forceNew: true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 1000,
      agent: new Agent({ localAddress: options.address, keepAlive: true }) as unknown as string,
      auth: (send) => void this.#authenticate().then(send),
    });
    this.#listen();
  }

  get isConnected(): boolean {
    return this.#socket.connected;
  }

  start(): void {
    this.#socket.connect();
    if (this.#options.renews) this.#renewing = setInterval(() => void this.#renew(), RENEW_EVERY_MS);
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#renewing);
    this.resume();
    this.#socket.disconnect();
  }

  leave(): void {
    this.#socket.disconnect();
  }

  comeBack(): void {
    if (!this.#stopped && !this.user.isGone) this.#socket.connect();
  }

  pause(): void {
    const { transport } = this.#socket.io.engine as unknown as {
      transport: { ws?: { _socket?: TcpSocket } };
    };
    this.#paused = transport.ws?._socket;
    this.#paused?.pause();
  }

  resume(): void {
    this.#paused?.resume();
    this.#paused = undefined;
  }

  #record(signal: OneOfSignal): void {
    this.#signals.push({
      at: Date.now(),
      client: this.name,
      connection: this.#connection,
      ...signal,
    } as Signal);
  }

  /** What a handshake says: a token that is good for a while, and the positions that are known. */
  async #authenticate(): Promise<object> {
    while ((this.#session?.expiresAt ?? 0) < Date.now() + AGAIN_AFTER_MS) {
      if (this.#stopped || this.user.isGone) return {};
      this.#session = await this.#world.logIn(this.user);
      if (this.#session === null) await delay(AGAIN_AFTER_MS);
    }
    this.#sent = Object.fromEntries(this.#positions);
    return { token: this.#session?.token, cursors: this.#sent };
  }

  #listen(): void {
    const socket = this.#socket;
    // Frames are read as they come, before a library makes anything of them.
    socket.io.on("open", () => {
      const { engine } = socket.io;
      engine.on("packet", ({ type, data }: { type: string; data?: unknown }) => {
        if (type === "message" && typeof data === "string") this.#read(data);
      });
    });
    socket.on("disconnect", (reason) => {
      this.#record({ kind: "closed", reason });
      if (reason === "io server disconnect") void this.#logInAgain();
    });
    socket.on("connect_error", (error) => {
      const { data } = error as Error & { data?: { type?: string } };
      if (data === undefined) return;
      this.#refused(String(data.type).split("/").at(-1) ?? "");
      void this.#logInAgain();
    });
  }

  #refused(code: string, expiresAt = this.#session?.expiresAt ?? 0): void {
    const { id: session = "" } = this.#session ?? {};
    this.#record({ kind: "refused", code, session, user: this.user.id, expires_at: expiresAt });
  }

  async #logInAgain(): Promise<void> {
    this.#session = null;
    await delay(AGAIN_AFTER_MS);
    if (!this.#stopped && !this.user.isGone) this.#socket.connect();
  }

  #read(packet: string): void {
    const tags = canariesIn(packet);
    if (packet.startsWith(CONNECT)) return this.#opened();
    if (!packet.startsWith(EVENT)) {
      if (tags.length > 0) this.#record({ kind: "other", tags });
      return;
    }
    const [name, frame] = JSON.parse(packet.slice(1));
    if (name === "ready") this.#isReady(frame.streams);
    else if (name === "stream_closed") {
      this.#positions.delete(frame.stream);
      this.#record({ kind: "stream_closed", stream: frame.stream });
    } else if (name === "session_ended" || name === "token_expired")
      this.#record({ kind: "dismissed", frame: name });
    else this.#event(frame, tags);
  }

  #opened(): void {
    const { id: session = "", expiresAt = 0 } = this.#session ?? {};
    this.#connection += 1;
    this.#ready = new Set();
    const cursors = this.#sent;
    this.#record({ kind: "opened", user: this.user.id, session, expires_at: expiresAt, cursors });
  }

  #isReady(streams: Record<string, Position & { recovered: boolean }>): void {
    for (const [stream, { seq, id }] of Object.entries(streams)) {
      this.#positions.set(stream, { seq, id });
      this.#ready.add(stream);
    }
    this.#record({ kind: "ready", streams });
  }

  #event(frame: { stream: string; seq: number; id: string }, tags: string[]): void {
    const { stream, seq, id } = frame;
    this.#record({ kind: "event", stream, seq, id, digest: digestOf(frame), tags });
    const last = this.#positions.get(stream);
    // A frame that does not follow belongs to a history that `ready` will tell of.
    if (last === undefined ? this.#ready.has(stream) : seq === last.seq + 1)
      this.#positions.set(stream, { seq, id });
  }

  async #renew(): Promise<void> {
    const session = this.#session;
    const isDue = session !== null && session.expiresAt < Date.now() + RENEW_MS;
    if (!isDue || this.#isRenewing || !this.#socket.connected) return;
    this.#isRenewing = true;
    try {
      const request = {
        method: "POST",
        path: "/auth/refresh",
        body: { refresh_token: session.refreshToken },
      };
      const { status, body } = await this.#world.http.send(
        request,
        { user: this.user.id },
        { action: "auth.refresh" },
      );
      if (session !== this.#session) return;
      if (status === 401) {
        this.#refused(String(body?.type).split("/").at(-1) ?? "", Date.now() + LONG_MS);
        this.#session = null;
        this.#socket.io.engine.close();
      }
      if (status !== 200) return;
      this.#session = sessionOf(this.user, body);
      const { token, id, expiresAt } = this.#session;
      const connection = this.#connection;
      const answer = await this.#socket
        .timeout(ACKNOWLEDGED_WITHIN_MS)
        .emitWithAck("authenticate", { token });
      if (connection !== this.#connection) return;
      if (answer.problem === undefined) this.#record({ kind: "renewed", expires_at: expiresAt, session: id });
      else this.#socket.io.engine.close();
    } catch {
      // It is not known which token the socket has now.
      this.#socket.io.engine?.close();
    } finally {
      this.#isRenewing = false;
    }
  }
}
