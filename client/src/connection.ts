/**
 * Keeps a connection: a state machine over links (link.ts), which go the best way that the network lets through (ways.ts).
 *
 *     disconnected --connect()--> connecting --link open--> catching-up --ready--> ready
 *     connecting, catching-up, ready --lost, expired, silent, hole, offline, better--> connecting
 *     any --disconnect(), login, refused, ended--> disconnected
 *
 * `connecting` covers the pauses between attempts. `#set` alone changes the state. A link that ended is never used again, and
 * what it still says is not heard.
 */
import type { Auth } from "./auth.ts";
import type { Cursors } from "./cursors.ts";
import { isOffline, watchPage } from "./environment.ts";
import type { End, Link, LinkHandlers } from "./link.ts";
import { Pause, pauseAfter } from "./pauses.ts";
import { isLoginNeeded, LOGIN_NEEDED, type Problem } from "./problem.ts";
import type { Located } from "./streams.ts";
import {
  CODES,
  type ConnectionCode,
  type ConnectionState,
  type ConnectionStatus,
  type Position,
  type TaskwireEvent,
  type Transport,
} from "./types.ts";
import { Upkeep } from "./upkeep.ts";
import type { Ways } from "./ways.ts";

/** What the connection tells. */
export interface ConnectionHandlers {
  state(state: ConnectionState): void;
  /** Each event once, in its stream's order. */
  event(event: TaskwireEvent): void;
  /** A stream is live from this position on. */
  located(stream: string, located: Located): void;
  closed(stream: string, problem: Problem): void;
}

export interface ConnectionOptions {
  ways: Ways;
  auth: Auth;
  cursors: Cursors;
  /** The only streams to join; undefined for all that the user has. */
  streams: string[] | undefined;
  handlers: ConnectionHandlers;
  /** What went wrong and concerns nobody else. */
  failed: (error: unknown) => void;
}

/** Without any frame for so long the client gives up what it is being sent. */
const SILENCE_MS = 30_000;
const JOIN_AGAIN_MS = 1000;

export class Connection {
  readonly #options: ConnectionOptions;
  readonly #followed = new Set<string>();
  readonly #pause = new Pause();
  #state: ConnectionState = { status: "disconnected", code: CODES.idle, problem: null, retryAt: null };
  #link: Link | null = null;
  /** Counts calls of `connect` and `disconnect`: a loop of an earlier one ends. */
  #run = 0;
  #failures = 0;
  /** Of the open link. */
  #upkeep: Upkeep | null = null;
  #silence: ReturnType<typeof setTimeout> | undefined;
  #unwatch: (() => void) | null = null;

  constructor(options: ConnectionOptions) {
    this.#options = options;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** How the open link reaches the server. */
  get transport(): Transport | null {
    return this.#link?.transport ?? null;
  }

  /** Where a stream is; undefined for one that the client does not have. */
  position(stream: string): Position | undefined {
    return this.#options.cursors.positions.get(stream);
  }

  /** Whether nobody has ended the connection, and nothing has ended it for good. */
  get isWanted(): boolean {
    return this.#state.status !== "disconnected";
  }

  /** Begins, or tries at once where it waits. */
  connect(): void {
    if (this.isWanted) {
      this.#pause.end();
      void this.#upkeep?.improve();
      return;
    }
    this.#run += 1;
    this.#failures = 0;
    this.#set("connecting", CODES.connect);
    this.#unwatch ??= watchPage({
      back: () => this.#pageIsBack(),
      offline: () => this.#link?.close({ code: CODES.offline }),
      hide: () => undefined,
    });
    this.#keep(this.#run).catch(this.#options.failed);
  }

  /** Ends the connection. The cursors stay. */
  disconnect(code: ConnectionCode = CODES.closed, problem: Problem | null = null): void {
    this.#run += 1;
    this.#set("disconnected", code, { problem });
    this.#unwatch?.();
    this.#unwatch = null;
    this.#link?.close({ code });
    this.#pause.end();
  }

  /** Joins a stream, now and in later connections. */
  follow(stream: string): void {
    this.#followed.add(stream);
    if (this.#state.status === "ready" && this.position(stream) === undefined) void this.#join(stream);
  }

  /** The stream has no reader any more; the server goes on to send it until the next connection. */
  unfollow(stream: string): void {
    this.#followed.delete(stream);
  }

  /** One connection after another, until `run` is over. */
  async #keep(run: number): Promise<void> {
    let mustRefresh: string | null = null;
    let refusal: Problem = LOGIN_NEEDED;
    while (run === this.#run) {
      let token: string;
      try {
        const { auth } = this.#options;
        token = mustRefresh === null ? await auth.token() : await auth.renew(mustRefresh);
        await this.#options.cursors.load(auth.account);
      } catch (error) {
        if (run !== this.#run) return;
        if (isLoginNeeded(error)) return this.disconnect(CODES.login, refusal);
        await this.#wait(CODES.unreachable);
        continue;
      }
      if (run !== this.#run) return;
      const end: End = await this.#connectOnce(token);
      if (run !== this.#run) return;
      refusal = end.problem ?? LOGIN_NEEDED;
      const { status } = this.#state;
      if (end.next === "stop") return this.disconnect(end.code, end.problem);
      const { auth } = this.#options;
      // A token that was just made and is refused means the same as no token.
      const isOver: boolean =
        end.next === "login" || (end.next === "refresh" && mustRefresh !== null && status === "connecting");
      if (isOver && !auth.isAsking) {
        this.disconnect(CODES.login, end.problem);
        return auth.ended();
      }
      mustRefresh = isOver || end.next === "refresh" ? token : null;
      const isBlocked = status === "connecting" && end.next === "reconnect" && !isOffline();
      if (isBlocked && this.#options.ways.next(end.problem !== null)) continue;
      if ((end.next === "refresh" || end.code === CODES.better) && status === "ready")
        this.#set("connecting", end.code, { problem: end.problem });
      else await this.#wait(end.code, end.problem);
    }
  }

  /** Waits for a random moment, or for the network to come back. */
  async #wait(code: ConnectionCode, problem: Problem | null = null): Promise<void> {
    this.#failures += 1;
    const ms = pauseAfter(this.#failures);
    this.#set("connecting", isOffline() ? CODES.offline : code, { problem, retryAt: Date.now() + ms });
    await this.#pause.wait(ms);
  }

  /** @returns how the connection ended */
  #connectOnce(token: string): Promise<End> {
    const { auth, ways, streams } = this.#options;
    const named = streams && [...new Set([...streams, ...this.#followed])];
    const cursors = Object.fromEntries(
      [...this.#options.cursors.positions].filter(([stream]) => named?.includes(stream) ?? true),
    );
    if (this.#state.retryAt !== null)
      this.#set("connecting", this.#state.code, { problem: this.#state.problem });
    return new Promise((resolve) => {
      // A link calls back when it has been made.
      const handlers: LinkHandlers = {
        opened: () => {
          this.#expectFrames(link);
          this.#upkeep = new Upkeep({ auth, ways, link, token });
          this.#set("catching-up", this.#state.code);
        },
        received: (name, payload) => this.#receive(link, name, payload),
        ended: (end) => {
          clearTimeout(this.#silence);
          this.#upkeep?.stop();
          this.#upkeep = null;
          this.#link = null;
          resolve(end);
        },
      };
      const link = ways.open({ token, cursors, ...(named && { streams: named }) }, handlers, this.#failures);
      this.#link = link;
    });
  }

  #receive(link: Link, name: string, payload: unknown): void {
    if (this.#state.status === "catching-up") this.#expectFrames(link);
    if (name === "ready") this.#isReady((payload as { streams: Record<string, Located> }).streams);
    else if (name === "stream_closed") {
      const { stream, problem } = payload as { stream: string; problem: Problem };
      this.#close(stream, problem);
    } else if (isEvent(payload)) this.#take(link, payload);
  }

  #isReady(streams: Record<string, Located>): void {
    clearTimeout(this.#silence);
    for (const [stream, located] of Object.entries(streams)) this.#locate(stream, located);
    this.#failures = 0;
    if (this.#state.status !== "ready") this.#set("ready", CODES.connect);
    for (const stream of this.#followed) if (this.position(stream) === undefined) void this.#join(stream);
  }

  #locate(stream: string, located: Located): void {
    this.#options.cursors.locate(stream, located);
    this.#options.handlers.located(stream, located);
  }

  #close(stream: string, problem: Problem): void {
    this.#options.cursors.forget(stream);
    this.#options.handlers.closed(stream, problem);
  }

  #take(link: Link, event: TaskwireEvent): void {
    const { cursors, handlers } = this.#options;
    const verdict = cursors.take(event);
    if (verdict === "hole") return link.close({ code: CODES.hole });
    if (verdict === "known") return;
    handlers.event(event);
    // Handlers come first: an event that they did not see comes again after a reload.
    cursors.save(event.stream);
  }

  /** Subscribes to a stream that the handshake did not bring. */
  async #join(stream: string): Promise<void> {
    const link = this.#link;
    if (link === null) return;
    try {
      const { problem, ...located } = await link.ask("subscribe", { stream });
      if (link !== this.#link || !this.#followed.has(stream)) return;
      if (problem === undefined) this.#locate(stream, located as unknown as Located);
      // Busy: ask again. 409: the socket has it already, and `ready` tells where it is.
      else if (problem.status === 429 || problem.status >= 500)
        setTimeout(() => link === this.#link && void this.#join(stream), JOIN_AGAIN_MS);
      else if (problem.status !== 409) this.#close(stream, problem);
    } catch {
      // The connection ended: the next one joins it.
    }
  }

  #expectFrames(link: Link): void {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => link.close({ code: CODES.silent }), SILENCE_MS);
  }

  /** The network or the user is back: a pause ends, and an open connection has to show that it is one. */
  #pageIsBack(): void {
    this.#pause.end();
    if (this.#state.status === "ready") this.#upkeep?.probe();
  }

  #set(
    status: ConnectionStatus,
    code: ConnectionCode,
    { problem = null, retryAt = null }: Partial<Pick<ConnectionState, "problem" | "retryAt">> = {},
  ): void {
    this.#state = { status, code, problem, retryAt };
    this.#options.handlers.state(this.#state);
  }
}

const isEvent = (payload: unknown): payload is TaskwireEvent =>
  typeof payload === "object" &&
  payload !== null &&
  "seq" in payload &&
  "stream" in payload &&
  "type" in payload;
