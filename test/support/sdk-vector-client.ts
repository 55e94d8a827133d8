/** The parts of the SDK that keep a client right, played with test vectors: connection, cursors and folding. */
import { applyEvent, type Contents, emptyContents } from "../../client/src/fold.ts";
import { type End, SocketLink } from "../../client/src/link.ts";
import { type Located, Streams } from "../../client/src/streams.ts";
import { CODES, type Task, type TaskwireEvent } from "../../client/src/types.ts";
import type { Wire } from "./answer.ts";
import type { Frame, Next } from "./raw-socket.ts";
import type { VectorClient } from "./vectors.ts";

const BY_SERVER: number[] = [CODES.expired, CODES.login, CODES.ended];

export class SdkVectorClient implements VectorClient {
  readonly frames: Frame[] = [];
  next: Next = "reconnect";
  ended: VectorClient["ended"] = null;
  readonly #url: string;
  readonly #streams = new Streams();
  readonly #contents = new Map<string, Contents>();
  #link: SocketLink | null = null;

  constructor(url: string) {
    this.#url = url;
  }

  get cursors(): ReadonlyMap<string, object> {
    return this.#streams.positions;
  }

  get fetch(): Set<string> {
    return this.#streams.toFetch;
  }

  get tasks(): ReadonlyMap<string, Task> {
    return new Map([...this.#contents.values()].flatMap(({ tasks }) => [...tasks]));
  }

  connect(auth: object): Promise<Wire> {
    this.ended = null;
    return new Promise((resolve) => {
      const link: SocketLink = new SocketLink(this.#url, auth, {
        opened: () => {
          this.next = "connected";
          resolve(null);
        },
        received: (name, payload) => this.#take(name, payload),
        ended: (end) => {
          if (link !== this.#link) return;
          const { code, problem } = this.#isOver(end);
          this.ended = BY_SERVER.includes(code) ? "by server" : "by connection";
          resolve(problem);
        },
      });
      this.#link = link;
    });
  }

  async ask(name: string, request: Wire): Promise<Wire> {
    const answer = (await this.#link?.ask(name, request)) as Wire;
    if (answer.problem !== undefined) return answer;
    if (name === "unsubscribe") this.#forget(answer.stream);
    if (name === "subscribe") this.#streams.locate(answer.stream, answer);
    return answer;
  }

  disconnect(): void {
    this.#link?.close({ code: CODES.closed });
    this.#link = null;
    this.next = "reconnect";
  }

  #isOver(end: End): End {
    this.next = end.next;
    return end;
  }

  #take(name: string, payload: unknown): void {
    this.frames.push([name, payload]);
    if (name === "ready")
      for (const [stream, located] of Object.entries(
        (payload as { streams: Record<string, Located> }).streams,
      ))
        this.#streams.locate(stream, located);
    else if (name === "stream_closed") this.#forget((payload as { stream: string }).stream);
    else if (name !== "session_ended" && name !== "token_expired") this.#apply(payload as TaskwireEvent);
  }

  #forget(stream: string): void {
    this.#streams.forget(stream);
    this.#contents.delete(stream);
  }

  #apply(event: TaskwireEvent): void {
    const verdict = this.#streams.take(event);
    if (verdict === "hole") throw new Error(`a hole in ${event.stream} before ${event.seq}`);
    if (verdict === "known") return;
    const contents = this.#contents.get(event.stream) ?? emptyContents();
    this.#contents.set(event.stream, contents);
    applyEvent(contents, event);
  }
}
