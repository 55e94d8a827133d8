import { io, type Socket } from "socket.io-client";
import type { Wire } from "./api.ts";
import { until } from "../../local/until.ts";
import type { LoggedEvent, Position } from "../../core/events.ts";
import { EVENT_TYPES } from "../../services/events.ts";
import type { Ready } from "../../services/notifier/notifier.contract.ts";
import { answerFaults, frameFaults, refusalFaults } from "./frames.ts";

/**
 * A client that keeps every frame it gets, and resumes behind the last ones when it connects again. Every frame must conform
 * to the AsyncAPI document.
 */
export class TestSocket {
  readonly socket: Socket;
  readonly events: LoggedEvent[] = [];
  readonly closed: { stream: string }[] = [];
  ready: Ready["streams"] = {};
  /** How many streams the socket has no room for, as it was told. */
  leftOut: number | undefined;
  /** Why it was disconnected, each time. */
  readonly ends: string[] = [];
  /** Connections that it opened, and the problems that it was refused with. */
  attempts = 0;
  readonly refusals: Wire[] = [];
  /** Frames that say why it may not come back. */
  readonly dismissed: { frame: string; problem: Wire }[] = [];
  /** Where frames differ from docs/asyncapi.json. */
  readonly #faults: string[] = [];

  constructor(url: string, auth: Record<string, unknown>, options: object = {}) {
    this.socket = io(url, {
      path: "/ws",
      auth: (send: (auth: object) => void) =>
        send({ ...auth, cursors: { ...(auth.cursors as object), ...this.cursors } }),
      transports: ["websocket"],
      reconnection: false,
      forceNew: true,
      ...options,
    });
    this.socket.onAny((name: string, ...payloads: unknown[]) =>
      this.#faults.push(...frameFaults(name, payloads)),
    );
    for (const type of EVENT_TYPES) this.socket.on(type, (event: LoggedEvent) => this.events.push(event));
    this.socket.on("ready", ({ streams, left_out: leftOut }: Ready) => {
      Object.assign(this.ready, streams);
      this.leftOut = leftOut;
    });
    this.socket.on("stream_closed", (frame: { stream: string }) => this.closed.push(frame));
    for (const frame of ["token_expired", "session_ended"])
      this.socket.on(frame, (problem: Wire) => this.dismissed.push({ frame, problem }));
    this.socket.io.on("open", () => (this.attempts += 1));
    this.socket.on("connect_error", (error) => {
      const { data } = error as Error & { data?: Wire };
      if (data === undefined) return;
      this.refusals.push(data);
      this.#faults.push(...refusalFaults({ message: error.message, data }));
    });
    this.socket.on("disconnect", (reason) => this.ends.push(reason));
  }

  /** The last event that it knows of in each stream. */
  get cursors(): Record<string, Position> {
    const cursors: Record<string, Position> = Object.fromEntries(
      Object.entries(this.ready).map(([stream, { seq, id }]) => [stream, { seq, id }]),
    );
    for (const { stream, seq, id } of this.events)
      if (seq > (cursors[stream]?.seq ?? 0)) cursors[stream] = { seq, id };
    return cursors;
  }

  /** Connected and told that its streams are live. */
  static async connect(url: string, auth: Record<string, unknown>, options?: object): Promise<TestSocket> {
    const client = new TestSocket(url, auth, options);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    client.socket.once("ready", () => resolve());
    client.socket.once("connect_error", reject);
    await promise;
    return client;
  }

  /** The problem document that a connection is refused with. */
  static async refused(url: string, auth: Record<string, unknown>): Promise<Wire> {
    const client = new TestSocket(url, auth);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    client.socket.once("connect_error", (error) => resolve((error as Error & { data: unknown }).data));
    client.socket.once("ready", () => reject(new Error("the connection was not refused")));
    return promise.finally(() => client.close());
  }

  /** The frames of one stream, in the order in which they came. */
  of(stream: string): LoggedEvent[] {
    return this.events.filter((event) => event.stream === stream);
  }

  async waitFor(condition: (client: TestSocket) => boolean, what = "a frame"): Promise<void> {
    if (await until(() => condition(this), 10_000)) return;
    throw new Error(
      `waited in vain for ${what}; got ${JSON.stringify(this.events.map(({ stream, seq, type }) => [stream, seq, type]))}`,
    );
  }

  async ask(event: string, request: object): Promise<Wire> {
    const answer: Wire = await this.socket.timeout(5000).emitWithAck(event, request);
    this.#faults.push(...answerFaults(event, answer));
    return answer;
  }

  /** @throws Error that says where frames differed from the document */
  close(): void {
    this.socket.disconnect();
    const faults = this.#faults.splice(0);
    if (faults.length > 0)
      throw new Error(`frames are not as docs/asyncapi.json says:\n  ${faults.slice(0, 20).join("\n  ")}`);
  }
}
