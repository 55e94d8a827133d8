/** A client of socket.io, by WebSocket or by polling, that keeps cursors and resumes. */
import { Agent } from "node:http";
import type { Socket as TcpSocket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { io, type Socket } from "socket.io-client";
import type { Position } from "../../core/events.ts";
import type { Credentials } from "./credentials.ts";
import { canariesIn } from "./digest.ts";
import { codeOf, type Recorder, type Subscriber } from "./subscriber.ts";
import type { User } from "./world.ts";

export interface SocketOptions {
  name: string;
  url: string;
  transport: "websocket" | "polling";
  credentials: Credentials;
  recorder: Recorder;
  /** Of 127.0.0.0/8: the balancer keeps each address at one node. */
  address: string;
  /** Streams that it asks for from their first event on. */
  whole: string[];
}

const RENEW_EVERY_MS = 3000;
const ACKNOWLEDGED_WITHIN_MS = 5000;
const AGAIN_AFTER_MS = 500;
/** Packets of socket.io: CONNECT and EVENT. */
const [CONNECT, EVENT] = ["0", "2"];

export class SocketSubscriber implements Subscriber {
  readonly name: string;
  readonly user: User;
  readonly #credentials: Credentials;
  readonly #recorder: Recorder;
  readonly #socket: Socket;
  readonly #positions = new Map<string, Position>();
  #sent: Record<string, Position> = {};
  #ready = new Set<string>();
  #renewing: NodeJS.Timeout | undefined;
  #isRenewing = false;
  #paused: TcpSocket | undefined;
  #stopped = false;

  constructor(options: SocketOptions) {
    this.name = options.name;
    this.user = options.credentials.user;
    this.#credentials = options.credentials;
    this.#recorder = options.recorder;
    for (const stream of options.whole) this.#positions.set(stream, { seq: 0, id: null });
    this.#socket = io(options.url, {
      path: "/ws",
      transports: [options.transport],
      autoConnect: false,
      forceNew: true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 1000,
      // One connection for each poll: xmlhttprequest-ssl, by which polling works in Node, sends a request again whose
      // kept connection has just closed, but never ends it, and the server waits for its head until it is too late.
      agent: new Agent({ localAddress: options.address, keepAlive: false }) as unknown as string,
      auth: (send) => void this.#authenticate().then(send),
    });
    this.#listen();
  }

  get isConnected(): boolean {
    return this.#socket.connected;
  }

  start(): void {
    this.#socket.connect();
    this.#renewing = setInterval(() => void this.#renew(), RENEW_EVERY_MS);
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

  /** What a handshake says: a token that is good for a while, and the positions that are known. */
  async #authenticate(): Promise<object> {
    const session = await this.#credentials.valid(() => this.#stopped || this.user.isGone);
    this.#sent = Object.fromEntries(this.#positions);
    return session === null ? {} : { token: session.token, cursors: this.#sent };
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
      this.#recorder.record({ kind: "closed", reason });
      if (reason === "io server disconnect") void this.#logInAgain();
    });
    socket.on("connect_error", (error) => {
      const { data } = error as Error & { data?: { type?: string } };
      if (data === undefined) return;
      const { session } = this.#credentials;
      if (session !== null) this.#recorder.refused(session, codeOf(data));
      void this.#logInAgain();
    });
  }

  async #logInAgain(): Promise<void> {
    this.#credentials.forget();
    await delay(AGAIN_AFTER_MS);
    if (!this.#stopped && !this.user.isGone) this.#socket.connect();
  }

  #read(packet: string): void {
    const tags = canariesIn(packet);
    if (packet.startsWith(CONNECT)) return this.#opened();
    if (!packet.startsWith(EVENT)) {
      if (tags.length > 0) this.#recorder.record({ kind: "other", tags });
      return;
    }
    const [name, frame] = JSON.parse(packet.slice(1));
    if (name === "ready") this.#isReady(frame.streams);
    else if (name === "stream_closed") {
      this.#positions.delete(frame.stream);
      this.#recorder.record({ kind: "stream_closed", stream: frame.stream });
    } else if (name === "session_ended" || name === "token_expired")
      this.#recorder.record({ kind: "dismissed", frame: name });
    else this.#event(frame, packet);
  }

  #opened(): void {
    this.#ready = new Set();
    const { session } = this.#credentials;
    if (session !== null) this.#recorder.opened(session, this.#sent);
  }

  #isReady(streams: Record<string, Position & { recovered: boolean }>): void {
    for (const [stream, { seq, id }] of Object.entries(streams)) {
      this.#positions.set(stream, { seq, id });
      this.#ready.add(stream);
    }
    this.#recorder.record({ kind: "ready", streams });
  }

  #event(frame: { stream: string; seq: number; id: string }, packet: string): void {
    const { stream, seq, id } = frame;
    this.#recorder.event(frame, packet);
    const last = this.#positions.get(stream);
    // A frame that does not follow belongs to a history that `ready` will tell of.
    if (last === undefined ? this.#ready.has(stream) : seq === last.seq + 1)
      this.#positions.set(stream, { seq, id });
  }

  #cut(): void {
    this.#socket.io.engine?.close();
  }

  async #renew(): Promise<void> {
    if (!this.#credentials.isDue || this.#isRenewing || !this.#socket.connected) return;
    this.#isRenewing = true;
    try {
      const session = await this.#credentials.refresh();
      if (session === null) {
        if (this.#credentials.session === null) this.#cut();
        return;
      }
      const { token, id, expiresAt } = session;
      const { connection } = this.#recorder;
      const answer = await this.#socket
        .timeout(ACKNOWLEDGED_WITHIN_MS)
        .emitWithAck("authenticate", { token });
      if (connection !== this.#recorder.connection) return;
      if (answer.problem === undefined)
        this.#recorder.record({ kind: "renewed", expires_at: expiresAt, session: id });
      else this.#cut();
    } catch {
      // It is not known which token the socket has now.
      this.#cut();
    } finally {
      this.#isRenewing = false;
    }
  }
}
