/** What clients have in common that follow the log over HTTP: one request after another, each with the last position. */
import { Agent, type IncomingMessage, request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { positionOf, type Position } from "../../core/events.ts";
import type { Credentials } from "./credentials.ts";
import { codeOf, type Recorder, type Subscriber } from "./subscriber.ts";
import type { Session, User } from "./world.ts";

export interface HttpOptions {
  name: string;
  /** A balancer of gateways. */
  url: string;
  credentials: Credentials;
  recorder: Recorder;
  /** Streams that it reads from their first event on. */
  whole: string[];
}

/** Milliseconds until a client asks again, as `retry:` of an event stream says. */
export const RETRY_MS = 1000;

interface Ask {
  method: string;
  path: string;
  headers?: Record<string, string>;
  body?: object;
  /** Milliseconds in which the head of the response must be there. */
  withinMs: number;
}

export abstract class HttpSubscriber implements Subscriber {
  readonly name: string;
  readonly user: User;
  protected readonly credentials: Credentials;
  protected readonly recorder: Recorder;
  protected readonly positions = new Map<string, Position>();
  readonly #url: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  #under = new AbortController();
  #paused: PromiseWithResolvers<void> | undefined;
  #isAway = false;
  #stopped = false;
  #isOpen = false;

  constructor({ name, url, credentials, recorder, whole }: HttpOptions) {
    this.name = name;
    this.user = credentials.user;
    this.credentials = credentials;
    this.recorder = recorder;
    this.#url = url;
    for (const stream of whole) this.positions.set(stream, { seq: 0, id: null });
  }

  get isConnected(): boolean {
    return this.#isOpen;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped = true;
    this.resume();
    this.#under.abort();
    this.#agent.destroy();
  }

  leave(): void {
    this.#isAway = true;
    this.#under.abort();
  }

  comeBack(): void {
    this.#isAway = false;
  }

  pause(): void {
    this.#paused ??= Promise.withResolvers<void>();
  }

  resume(): void {
    this.#paused?.resolve();
    this.#paused = undefined;
  }

  /** Asks once, and takes what comes until the connection is over. @throws Error when it broke */
  protected abstract follow(session: Session): Promise<void>;

  protected get isOver(): boolean {
    return this.#stopped || this.user.isGone || this.#isAway;
  }

  async #run(): Promise<void> {
    while (!this.#stopped && !this.user.isGone) {
      this.#under = new AbortController();
      const session = this.#isAway ? null : await this.credentials.valid(() => this.isOver);
      let reason = "the response ended";
      if (session !== null && !this.isOver)
        await this.follow(session).catch((error: Error) => (reason = error.message));
      this.closed(reason);
      await delay(RETRY_MS);
    }
    this.closed("the client is gone");
  }

  protected opened(session: Session, streams?: string[]): void {
    this.recorder.opened(session, Object.fromEntries(this.positions), streams);
    this.#isOpen = true;
  }

  protected closed(reason: string): void {
    if (this.#isOpen) this.recorder.record({ kind: "closed", reason });
    this.#isOpen = false;
  }

  /** The user may not read the stream, or not any more. */
  protected lost(stream: string): void {
    this.positions.delete(stream);
    this.recorder.record({ kind: "stream_closed", stream });
  }

  /** Takes an event, whose id is where the client goes on from. */
  protected take(event: { stream: string; seq: number; id: string }, cursor: string, raw: string): void {
    this.recorder.event(event, raw);
    this.positions.set(event.stream, positionOf(cursor));
  }

  protected isReady(streams: Record<string, Position & { recovered: boolean }>): void {
    for (const [stream, { seq, id }] of Object.entries(streams)) this.positions.set(stream, { seq, id });
    this.recorder.record({ kind: "ready", streams });
  }

  /** The token is no good any more. */
  protected refused(session: Session, problem: { type?: string } | null): void {
    this.recorder.refused(session, codeOf(problem));
    this.credentials.forget();
  }

  /** @throws Error without a response in time */
  protected async ask(
    { method, path, headers, body, withinMs }: Ask,
    { token }: Session,
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = request(`${this.#url}${path}`, {
      method,
      agent: this.#agent,
      signal: this.#under.signal,
      headers: {
        ...headers,
        Authorization: `Bearer ${token}`,
        ...(body && { "Content-Type": "application/json" }),
      },
    });
    const timer = setTimeout(() => sent.destroy(new Error("no response in time")), withinMs);
    sent.once("response", resolve).on("error", reject);
    sent.end(body && JSON.stringify(body));
    const response = await promise.finally(() => clearTimeout(timer));
    // Its reader throws it.
    return response.on("error", () => {});
  }

  /** The chunks of a response, read no faster than faults allow. @throws Error when the response breaks */
  protected async *chunks(response: IncomingMessage): AsyncGenerator<Buffer> {
    for await (const chunk of response) {
      await this.#paused?.promise;
      yield chunk as Buffer;
    }
  }

  /** @throws Error when the response breaks, or is no JSON */
  protected async read(response: IncomingMessage): Promise<{ text: string; body: any }> {
    const chunks: Buffer[] = [];
    for await (const chunk of this.chunks(response)) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    return { text, body: text === "" ? null : JSON.parse(text) };
  }
}
