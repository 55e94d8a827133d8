/**
 * The part of Taskwire that a store of the SDK sees, as simple as it can be: one project, its log, keys and versions. It is
 * what the store is compared with.
 */
import type { Comment, Project, Status, Task, TaskwireEvent } from "../../client/src/types.ts";
import { TRANSITIONS } from "../../services/tasks/tasks.status.ts";

export const PROJECT = "project-1";
export const ME = "user-1";
/** What happens to a request: the server never gets it, the client never gets the answer, or gets it seconds later. */
export type Fault = "none" | "request lost" | "answer lost" | "answer late" | "busy";

/** More than the time after which a store misses the event of a change. */
const LATE_MS = 6000;
/** Between two positions there is room for so many halvings. */
const GAP = 2 ** 30;

const STATUS_OF = {
  "not-found": 404,
  "illegal-transition": 409,
  "neighbour-moved": 409,
  "precondition-failed": 412,
  overloaded: 503,
};
type Code = keyof typeof STATUS_OF;

class Refusal extends Error {
  readonly code: Code;
  constructor(code: Code) {
    super(code);
    this.code = code;
  }
}

/** A change of a task's status: by whom, and the version that the task had after it. */
interface StatusWrite extends Cause {
  task: string;
  from: Status;
  to: Status;
  version: number;
  epoch: number;
}

/** All fields of all requests. */
interface Body {
  title: string;
  body: string;
  to: Status;
  status?: Status;
  before?: string;
  after?: string;
}

interface Cause {
  by: string;
  request: string | null;
}

export class ModelServer {
  readonly log: TaskwireEvent[] = [];
  tasks = new Map<string, Task>();
  comments = new Map<string, Comment>();
  readonly statusWrites: StatusWrite[] = [];
  /** How often the database was restored. */
  epoch = 0;
  /** How often each request changed something, by its id. */
  readonly applied = new Map<string, number>();
  /** What happens to the next requests. */
  readonly faults: Fault[] = [];
  /** The methods and paths of the requests that the client sent. */
  readonly requests: string[] = [];
  /** Requests whose change a restore took away. */
  readonly lost = new Set<string>();
  /** Snapshots are under way for a while. */
  isSlow = false;
  /** Answers by key, and how long the log was then. */
  readonly #keys = new Map<string, { answer: unknown; seq: number }>();
  /** The state after each event. */
  #states: Pick<ModelServer, "tasks" | "comments">[] = [{ tasks: new Map(), comments: new Map() }];
  #ids = 0;

  /** Positions are numbers here, written so that they sort as text. */
  get order(): Task[] {
    return [...this.tasks.values()].sort((a, b) => (a.position < b.position ? -1 : 1));
  }

  get head(): { seq: number; id: string | null } {
    const last = this.log.at(-1);
    return last === undefined ? { seq: 0, id: null } : { seq: last.seq, id: last.id };
  }

  fetch = async (request: Request): Promise<Response> => {
    this.requests.push(`${request.method} ${new URL(request.url).pathname.replace("/api/v1", "")}`);
    const fault = this.faults.shift() ?? "none";
    if (fault === "request lost") throw new TypeError("fetch failed");
    const answer = fault === "busy" ? problem("overloaded") : await this.#answer(request);
    if (fault === "answer lost") throw new TypeError("fetch failed");
    if (fault === "answer late" || (this.isSlow && request.url.endsWith("/snapshot")))
      await new Promise((resolve) => setTimeout(resolve, LATE_MS));
    return answer;
  };

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    const path = pathname.split("/").slice(3);
    const body = (request.method === "GET" ? {} : JSON.parse((await request.text()) || "{}")) as Body;
    const key = request.headers.get("Idempotency-Key");
    try {
      if (key !== null && this.#keys.has(key)) return json(this.#keys.get(key)?.answer);
      const cause = { by: ME, request: request.headers.get("X-Request-ID") };
      const match = request.headers.get("If-Match");
      const answer = this.#route(
        request.method,
        path,
        body,
        match === null ? null : Number(match.slice(1, -1)),
        cause,
      );
      if (key !== null) this.#keys.set(key, { answer: structuredClone(answer), seq: this.log.length });
      return answer instanceof Response ? answer : json(answer);
    } catch (error) {
      if (error instanceof Refusal) return problem(error.code);
      throw error;
    }
  }

  #route(method: string, path: string[], body: Body, match: number | null, cause: Cause): unknown {
    const [root, id = "", part, inner = ""] = path;
    if (root === "projects") {
      if (method === "POST") return this.create(body, cause);
      if (part === "snapshot") return this.#snapshot();
      return part === "members" ? { items: [], next_cursor: null } : project();
    }
    if (part === "comments") {
      if (method === "POST") return this.comment(id, body.body, cause);
      if (method === "GET" && inner === "") return { items: this.commentsOf(id), next_cursor: null };
      throw new Error(`${method} ${path.join("/")}`);
    }
    if (method === "GET") return this.task(id);
    if (method === "PATCH") return this.patch(id, body, match, cause);
    if (method === "DELETE") return this.delete(id, match, cause);
    if (part === "transitions") return this.transition(id, body.to, cause, match);
    if (part === "move") return this.move(id, body, cause, match);
    if (part === "assign") return this.patch(id, body, match, cause);
    throw new Error(`${method} ${path.join("/")}`);
  }

  /** The database is as it was after event `seq`. */
  restore(seq: number): void {
    this.epoch += 1;
    for (const { request_id } of this.log.splice(seq))
      if (request_id !== null) {
        this.applied.delete(request_id);
        this.lost.add(request_id);
      }
    const state = this.#states[seq];
    if (state === undefined) throw new Error(`there was no event ${seq}`);
    this.#states = this.#states.slice(0, seq + 1);
    this.tasks = new Map(state.tasks);
    this.comments = new Map(state.comments);
    for (const [key, kept] of this.#keys) if (kept.seq > seq) this.#keys.delete(key);
  }

  task(id: string): Task {
    const task = this.tasks.get(id);
    if (task === undefined) throw new Refusal("not-found");
    return { ...task };
  }

  commentsOf(task: string): Comment[] {
    return [...this.comments.values()].filter(({ task_id }) => task_id === task);
  }

  create({ title }: { title: string }, cause: Cause): Task {
    const last = this.order.at(-1);
    const task: Task = {
      id: this.#newId("task"),
      title,
      description: null,
      status: "pending",
      priority: "medium",
      project_id: PROJECT,
      category_id: null,
      created_by: cause.by,
      assigned_to: null,
      due_date: null,
      completed_at: null,
      position: position(last === undefined ? GAP : Number(last.position) + GAP),
      version: 1,
      created_at: "2026-11-26T00:00:00.000Z",
      updated_at: "2026-11-26T00:00:00.000Z",
    };
    return this.#set("task_created", task, cause);
  }

  patch(id: string, body: object, match: number | null, cause: Cause): Task {
    const task = this.#matching(id, match);
    if (Object.entries(body).every(([field, value]) => (task as never)[field] === value)) return task;
    return this.#set("task_updated", { ...task, ...body, version: task.version + 1 }, cause);
  }

  transition(id: string, to: Status, cause: Cause, match: number | null = null): Task {
    const task = this.#matching(id, match);
    if (!TRANSITIONS[task.status].includes(to)) throw new Refusal("illegal-transition");
    return this.#set("task_updated", { ...task, status: to, version: task.version + 1 }, cause);
  }

  move(
    id: string,
    to: { status?: Status; before?: string; after?: string },
    cause: Cause,
    match: number | null = null,
  ): Task {
    const task = this.#matching(id, match);
    const status = to.status ?? task.status;
    if (status !== task.status && !TRANSITIONS[task.status].includes(status))
      throw new Refusal("illegal-transition");
    const neighbour = to.before ?? to.after;
    const rest = this.order.filter((other) => other.id !== id);
    const column = rest.filter((other) => other.status === status);
    const at = column.findIndex((other) => other.id === neighbour);
    if (neighbour !== undefined && (neighbour === id || at === -1)) throw new Refusal("neighbour-moved");
    const next = neighbour === undefined ? undefined : column[to.before === undefined ? at + 1 : at];
    const inAll = next === undefined ? rest.length : rest.indexOf(next);
    const [low, high] = [rest[inAll - 1], rest[inAll]];
    const from = low === undefined ? 0 : Number(low.position);
    const place = high === undefined ? from + GAP : (from + Number(high.position)) / 2;
    return this.#set(
      "task_moved",
      { ...task, status, position: position(Math.floor(place)), version: task.version + 1 },
      cause,
    );
  }

  delete(id: string, match: number | null, cause: Cause): Response {
    const task = this.#matching(id, match);
    this.tasks.delete(id);
    for (const { id: comment } of this.commentsOf(id)) this.comments.delete(comment);
    this.#tell("task_deleted", { task: { ...task, version: task.version + 1 } }, cause);
    return new Response(null, { status: 204 });
  }

  comment(task: string, body: string, cause: Cause): Comment {
    this.task(task);
    const comment = {
      id: this.#newId("comment"),
      task_id: task,
      author_id: cause.by,
      body,
      version: 1,
      created_at: `2026-11-26T00:00:00.${String(this.#ids).padStart(6, "0")}Z`,
      updated_at: "2026-11-26T00:00:00.000Z",
    };
    this.comments.set(comment.id, comment);
    this.#tell("comment_created", { comment }, cause);
    return comment;
  }

  #snapshot(): Response {
    const lines = [
      { type: "head", stream: `project:${PROJECT}`, ...this.head },
      ...[...this.tasks.values()].map((data) => ({ type: "task", data })),
      ...[...this.comments.values()].map((data) => ({ type: "comment", data })),
      { type: "end", count: this.tasks.size + this.comments.size },
    ];
    return new Response(lines.map((line) => `${JSON.stringify(line)}\n`).join(""), {
      headers: { "Content-Type": "application/x-ndjson" },
    });
  }

  #matching(id: string, match: number | null): Task {
    const task = this.task(id);
    if (match !== null && match !== task.version) throw new Refusal("precondition-failed");
    return task;
  }

  #set(type: string, task: Task, cause: Cause): Task {
    const { status: from = "pending" } = this.tasks.get(task.id) ?? {};
    const { id, status: to, version } = task;
    if (from !== to) this.statusWrites.push({ ...cause, task: id, from, to, version, epoch: this.epoch });
    this.tasks.set(id, task);
    this.#tell(type, { task }, cause);
    return task;
  }

  #tell(type: string, data: object, { by, request }: Cause): void {
    if (request !== null) this.applied.set(request, (this.applied.get(request) ?? 0) + 1);
    const seq = this.log.length + 1;
    const event = {
      id: this.#newId("event"),
      stream: `project:${PROJECT}`,
      seq,
      type,
      time: "2026-11-26T00:00:00.000Z",
      actor_id: by,
      request_id: request,
      data: structuredClone(data),
    };
    this.log.push(event as unknown as TaskwireEvent);
    this.#states.push({ tasks: new Map(this.tasks), comments: new Map(this.comments) });
  }

  #newId(kind: string): string {
    this.#ids += 1;
    return `${kind}-${String(this.#ids).padStart(6, "0")}`;
  }
}

const position = (place: number): string => String(place).padStart(16, "0");

const project = (): Project => ({
  id: PROJECT,
  slug: "model",
  name: "Model",
  description: null,
  status: "active",
  owner_id: ME,
  version: 1,
  created_at: "2026-11-26T00:00:00.000Z",
  updated_at: "2026-11-26T00:00:00.000Z",
});

const json = (body: unknown): Response =>
  body instanceof Response
    ? body
    : new Response(JSON.stringify(body), { headers: { "Content-Type": "application/json" } });

const problem = (code: Code): Response => {
  const status = STATUS_OF[code];
  return new Response(
    JSON.stringify({ type: `/problems/${code}`, title: "Refused", status, detail: "by the model" }),
    { status, headers: { "Content-Type": "application/problem+json" } },
  );
};
