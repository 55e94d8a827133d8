/**
 * A connection where sockets are blocked: requests to `POST /sync`, one after another, each of which waits for events. It tells
 * what a socket tells, so that the rest of the client does not know the difference.
 */
import type { components } from "./api.ts";
import type { Http } from "./http.ts";
import type { Answer, End, Handshake, Link, LinkHandlers } from "./link.ts";
import { Pause } from "./pauses.ts";
import { isLoginNeeded, type Problem, ProblemError } from "./problem.ts";
import type { Located } from "./streams.ts";
import { CODES, type ConnectionCode, type Position } from "./types.ts";

type Synced = components["schemas"]["Sync"];

/** How long a request waits for an event at most, in seconds. */
const LONGEST_WAIT_S = 20;
/** Events of one answer. */
const LIMIT = 500;
/** The least time between two requests: a busy stream costs two in a second. */
const PACE_MS = 500;
const ANSWER_MS = 30_000;
/** A cursor beyond every event, in place of an unknown one: the server answers where the stream is. */
const UNKNOWN = String(Number.MAX_SAFE_INTEGER);
const LOST: Problem = {
  type: "/problems/not-found",
  title: "Not found",
  status: 404,
  detail: "The stream is over, or not yours.",
};

const cursorOf = ({ seq, id }: Position): string => (id === null ? `${seq}` : `${seq}-${id}`);

function positionOf(cursor: string): Position {
  const [seq, ...id] = cursor.split("-");
  return { seq: Number(seq), id: id.length === 0 ? null : id.join("-") };
}

export class SyncLink implements Link {
  readonly transport = "sync";
  readonly #http: Http;
  readonly #handlers: LinkHandlers;
  readonly #pace = new Pause();
  /** The streams to tell of; null for all. */
  readonly #wanted: Set<string> | null;
  #cursors: Record<string, string>;
  /** Streams to be told as not recovered by the first `ready`; null after it. */
  #unrecovered: Set<string> | null = new Set();
  #request = new AbortController();
  /** The next answer shows that the server is there: it is not to wait for events. */
  #isHurried = true;
  #answered: (() => void) | null = null;
  #isOpen = false;
  #isOver = false;

  constructor(http: Http, { cursors, streams }: Handshake, handlers: LinkHandlers) {
    this.#http = http;
    this.#handlers = handlers;
    this.#wanted = streams === undefined ? null : new Set(streams);
    this.#cursors = Object.fromEntries((streams ?? []).map((name): [string, string] => [name, UNKNOWN]));
    for (const [name, position] of Object.entries(cursors)) this.#cursors[name] = cursorOf(position);
    void this.#run();
  }

  ask(_name: string, request: object, timeoutMs = ANSWER_MS): Promise<Answer> {
    const { stream } = request as { stream?: string };
    if (stream !== undefined) {
      this.#wanted?.add(stream);
      this.#cursors[stream] = UNKNOWN;
      this.#askAgain();
      // `ready` tells where the stream is.
      return Promise.resolve({ problem: { ...LOST, status: 409 } });
    }
    // Each request carries the client's token by itself. The next answer shows that the connection is one.
    this.#answered?.();
    return new Promise((resolve) => {
      const timer = setTimeout(() => this.close({ code: CODES.silent }), timeoutMs);
      this.#answered = () => {
        clearTimeout(timer);
        this.#answered = null;
        resolve({});
      };
      this.#isHurried = true;
      this.#askAgain();
    });
  }

  close({ code }: { code: ConnectionCode }): void {
    this.#end({ next: "reconnect", code, problem: null });
  }

  /** Gives up the request that waits, or the pause between two. */
  #askAgain(): void {
    this.#request.abort();
    this.#pace.end();
  }

  async #run(): Promise<void> {
    try {
      while (!this.#isOver) {
        const startedAt = Date.now();
        const answer = await this.#sync();
        if (answer === null) continue;
        this.#take(answer);
        if (!answer.more && !this.#isOver)
          await this.#pace.wait(Math.max(0, startedAt + PACE_MS - Date.now()));
      }
    } catch (error) {
      const problem = error instanceof ProblemError ? error.problem : null;
      if (isLoginNeeded(error)) this.#end({ next: "login", code: CODES.login, problem });
      else this.#end({ next: "reconnect", code: this.#isOpen ? CODES.lost : CODES.unreachable, problem });
    }
  }

  /** @returns null where the request was given up for another one */
  async #sync(): Promise<Synced | null> {
    const { signal } = (this.#request = new AbortController());
    const wait = this.#isHurried ? 0 : Math.min(LONGEST_WAIT_S, Math.floor(this.#http.timeout / 2000));
    this.#isHurried = false;
    try {
      const body = { cursors: this.#cursors, limit: LIMIT, wait };
      return (await this.#http.json("POST", "/sync", { body, signal, attempts: 1 })) as Synced;
    } catch (error) {
      if (signal.aborted) return null;
      throw error;
    }
  }

  #take({ events, cursors, gained, lost, reset, more }: Synced): void {
    if (this.#isOver) return;
    if (!this.#isOpen) {
      this.#isOpen = true;
      this.#handlers.opened();
    }
    this.#answered?.();
    // A handler may subscribe to a stream meanwhile.
    this.#cursors = { ...cursors };
    const unrecovered = this.#unrecovered ?? new Set();
    for (const stream of [...gained, ...reset]) unrecovered.add(stream);
    // What comes before the first `ready` says where such a stream begins is part of the state that is read then.
    for (const event of events)
      if (!unrecovered.has(event.stream)) this.#tell(event.type, event, event.stream);
    for (const stream of lost) this.#tell("stream_closed", { stream, problem: LOST }, stream);
    // The next answer has no events to wait for.
    if (more) this.#isHurried = true;
    const isFirst = this.#unrecovered !== null;
    if (isFirst && more) return;
    this.#unrecovered = null;
    const streams: Record<string, Located> = {};
    for (const [name, cursor] of Object.entries(cursors))
      if ((isFirst || unrecovered.has(name)) && this.#isWanted(name))
        streams[name] = { ...positionOf(cursor), recovered: !unrecovered.has(name) };
    if (isFirst || Object.keys(streams).length > 0) this.#tell("ready", { streams });
  }

  #isWanted(stream: string): boolean {
    return this.#wanted?.has(stream) ?? true;
  }

  #tell(name: string, payload: unknown, stream: string | null = null): void {
    if (!this.#isOver && (stream === null || this.#isWanted(stream))) this.#handlers.received(name, payload);
  }

  #end(end: End): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#askAgain();
    this.#answered?.();
    this.#handlers.ended(end);
  }
}
