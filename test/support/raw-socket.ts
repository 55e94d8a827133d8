/**
 * A client without a library, by docs/write-a-client.md alone: a bare WebSocket, the packets of engine.io and socket.io, and
 * the state that a client keeps.
 */
import type { LoggedEvent, Position } from "../../core/events.ts";
import type { Ready, StreamClosed } from "../../services/notifier/notifier.contract.ts";
import type { EventTask } from "../../services/tasks/tasks.contract.ts";
import type { Wire } from "./answer.ts";

export type Frame = [name: string, payload: Wire];
/** What a client does next. */
export type Next = "connected" | "reconnect" | "refresh" | "login" | "stop";

const ANSWER_MS = 10_000;

/** A problem's consequence for a client that is refused. */
const nextAfter = ({ status }: { status: number }): Next => {
  if (status === 401) return "refresh";
  return status === 429 || status >= 500 ? "reconnect" : "stop";
};

/** The streams whose state a task belongs to. */
const homesOf = ({ project_id: project, created_by, assigned_to }: EventTask): string[] =>
  project === null ? [`user:${created_by}`, `user:${assigned_to}`] : [`project:${project}`];

export class RawSocket {
  readonly cursors = new Map<string, Position>();
  /** Streams whose state is to be fetched. */
  readonly fetch = new Set<string>();
  /** The tasks that the client shows, by id. */
  readonly tasks = new Map<string, EventTask>();
  /** Frames that nobody has taken yet. */
  readonly frames: Frame[] = [];
  next: Next = "reconnect";
  /** How the last connection ended; null while it is open. */
  ended: "by server" | "by connection" | null = null;
  readonly #url: string;
  #connection: WebSocket | null = null;
  #requests = 0;
  readonly #answers = new Map<number, (answer: Wire) => void>();

  constructor(url: string) {
    this.#url = `${url.replace(/^http/, "ws")}/ws/?EIO=4&transport=websocket`;
  }

  /** @returns the problem of a refused handshake; null when the socket is open */
  connect(auth: object): Promise<Wire> {
    const { promise, resolve, reject } = Promise.withResolvers<Wire>();
    const connection = new WebSocket(this.#url);
    this.#connection = connection;
    this.ended = null;
    connection.onmessage = ({ data }) => {
      const packet = String(data);
      if (packet.startsWith("0")) connection.send(`40${JSON.stringify(auth)}`);
      else if (packet === "2") connection.send("3");
      else if (packet.startsWith("40")) {
        this.next = "connected";
        resolve(null);
      } else if (packet.startsWith("44")) {
        const problem = (JSON.parse(packet.slice(2)) as Wire).data;
        this.next = nextAfter(problem);
        this.#close();
        resolve(problem);
      } else if (packet.startsWith("42")) this.#take(JSON.parse(packet.slice(2)) as Frame);
      else if (packet.startsWith("43")) {
        const [, id, answer] = /^43(\d+)(.*)$/s.exec(packet) as unknown as [string, string, string];
        this.#answers.get(Number(id))?.((JSON.parse(answer) as Wire[])[0]);
      } else if (packet.startsWith("41")) {
        this.ended = "by server";
        if (this.next === "connected") this.next = "stop";
      } else reject(new Error(`an unknown packet: ${packet.slice(0, 100)}`));
    };
    connection.onclose = () => {
      if (this.#connection !== connection) return;
      this.ended ??= "by connection";
      if (this.next === "connected") this.next = "reconnect";
      reject(new Error("the connection closed before the socket was open"));
    };
    return promise;
  }

  /** Sends a request. @returns its acknowledgement */
  ask(name: string, request: Wire): Promise<Wire> {
    const id = this.#requests++;
    const { promise, resolve, reject } = Promise.withResolvers<Wire>();
    const timer = setTimeout(() => reject(new Error(`${name} was not answered`)), ANSWER_MS);
    this.#answers.set(id, resolve);
    this.#connection?.send(`42${id}${JSON.stringify([name, request])}`);
    return promise
      .then((answer: Wire) => {
        if (answer.problem === undefined) this.#done(name, answer);
        return answer;
      })
      .finally(() => {
        clearTimeout(timer);
        this.#answers.delete(id);
      });
  }

  /** The client itself goes away. */
  disconnect(): void {
    this.next = "reconnect";
    this.#close();
  }

  #close(): void {
    const connection = this.#connection;
    this.#connection = null;
    this.ended = "by connection";
    connection?.close();
  }

  #done(name: string, { stream, ...position }: Wire): void {
    if (name === "unsubscribe") this.#forget(stream);
    if (name === "subscribe") this.#locate(stream, position);
  }

  #take([name, payload]: Frame): void {
    this.frames.push([name, payload]);
    if (name === "ready")
      for (const [stream, position] of Object.entries((payload as Ready).streams))
        this.#locate(stream, position);
    else if (name === "stream_closed") this.#forget((payload as StreamClosed).stream);
    else if (name === "session_ended") this.next = "login";
    else if (name === "token_expired") this.next = "refresh";
    else this.#apply(payload as LoggedEvent);
  }

  #forget(stream: string): void {
    this.cursors.delete(stream);
    this.fetch.delete(stream);
    for (const [id, task] of this.tasks) if (homesOf(task).includes(stream)) this.tasks.delete(id);
  }

  #locate(stream: string, { seq, id, recovered }: Position & { recovered: boolean }): void {
    if (!recovered) this.fetch.add(stream);
    this.cursors.set(stream, { seq, id });
  }

  #apply({ stream, seq, id, type, data }: LoggedEvent): void {
    const last = this.cursors.get(stream);
    if (last !== undefined && seq <= last.seq) return;
    if (last !== undefined && seq > last.seq + 1) throw new Error(`a hole in ${stream} before ${seq}`);
    this.cursors.set(stream, { seq, id });
    const { task } = data as { task?: EventTask };
    if (task === undefined || task.version < (this.tasks.get(task.id)?.version ?? 0)) return;
    const isHome = homesOf(task).includes(stream);
    if (isHome && type !== "task_deleted" && task.deleted_at === undefined) this.tasks.set(task.id, task);
    // A user's stream tells of a project's task too, and does not keep it.
    else if (isHome || task.project_id === null) this.tasks.delete(task.id);
  }
}
