/** What an application sees of the client: options, states, stores and changes. */
import type { components } from "./api.ts";
import type { Problem } from "./problem.ts";

type Schemas = components["schemas"];

export type User = Schemas["User"];
export type Status = Task["status"];
export type Priority = Task["priority"];
export type Role = Schemas["Member"]["role"];
export type Project = Schemas["EventProject"];
/** A task as lists show it. `title` is null in an old event whose texts were redacted. */
export type Task = Schemas["EventTask"];
export type Comment = Schemas["EventComment"];
/** A member by id. `username` and the names follow as soon as the client has read them. */
export type Member = Schemas["EventMember"] & {
  username?: string;
  first_name?: string | null;
  last_name?: string | null;
};

/** Any event of any stream (docs/reference.md, Events). */
export type TaskwireEvent = Schemas["Event"];
export type EventType = TaskwireEvent["type"];
export type EventOf<Type extends EventType> = Extract<TaskwireEvent, { type: Type }>;

/** The last event that a reader of a stream has; `{seq: 0, id: null}` stands before the first one. */
export interface Position {
  seq: number;
  id: string | null;
}

/** Where the client keeps what survives a reload. Values are texts; keys begin with `taskwire`. */
export interface ClientStorage {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
  delete(key: string): Promise<void>;
  /** All keys that begin with `prefix`. */
  keys(prefix: string): Promise<string[]>;
}

/** A login. `refresh_token` is absent in cookie mode. */
export interface Session {
  access_token: string;
  refresh_token?: string;
  /** For how many seconds the access token was good when it came. */
  expires_in: number;
  /** When the access token runs out, in milliseconds since 1970. */
  expires_at: number;
  user: User;
}

export interface ClientOptions {
  /** Where the server is: `https://tasks.example.com`. In a browser the page's own origin by default. */
  url?: string;
  /** Where the sockets are, if not at `url`. */
  socketUrl?: string;
  /** A personal access token. The client neither logs in nor refreshes then. */
  token?: string;
  /**
   * Gives an access token, for applications that get theirs elsewhere.
   * @param refused the token that the server refused or that runs out, if any: the next one must be another
   */
  getToken?: (refused: string | null) => Promise<string>;
  /** A login that the application has already. Without one the client takes the one in `storage`. */
  session?: Session;
  /** Keep the refresh token in an HttpOnly cookie, out of reach of scripts. For pages of the server's own site. */
  cookie?: boolean;
  /** Where logins, cursors, stores and waiting changes are kept. `memoryStorage()` by default: nothing is kept. */
  storage?: ClientStorage;
  /** The streams to join: `project:<id>`, `user:<id>`. By default the user's own and those of all projects. */
  streams?: string[];
  /** How often a request that may be repeated is sent at most. 4 by default. */
  attempts?: number;
  /** How long one attempt of a request may take, in milliseconds. 30,000 by default. */
  timeout?: number;
  /** What a handler of the application threw, and what the storage failed at. Writes to the console by default. */
  onError?: (error: unknown) => void;
  /** For tests and other runtimes. */
  fetch?: (request: Request) => Promise<Response>;
}

/**
 * `disconnected`: nobody asked for a connection, or it ended for good (`code` says why).
 * `connecting`: the client opens a connection, or waits for a moment before it does.
 * `catching-up`: the socket is open; what happened meanwhile is being sent.
 * `ready`: every stream is live.
 */
export type ConnectionStatus = "disconnected" | "connecting" | "catching-up" | "ready";

/**
 * How the client reaches the server: by WebSocket; by HTTP requests of socket.io where WebSockets are blocked; by requests of
 * the API where all of socket.io is blocked.
 */
export type Transport = "websocket" | "polling" | "sync";

/** Why the connection has its status. Codes below 100 come back by themselves, those from 100 on do not. */
export const CODES = {
  /** `connect()` was called. */
  connect: 1,
  /** The connection was lost: a node stopped, the network failed, the client was too slow. */
  lost: 2,
  /** The server could not be reached, or was too busy. */
  unreachable: 3,
  /** The token ran out; the client gets another one. */
  expired: 4,
  /** The server did not answer in time. */
  silent: 5,
  /** An event was missing: the client asks again. */
  hole: 6,
  /** The browser says that it has no network. */
  offline: 7,
  /** A better way to the server works again: the client changes over to it. */
  better: 8,
  /** Nobody has called `connect()` yet. */
  idle: 100,
  /** `disconnect()` was called. */
  closed: 101,
  /** The login has ended: the user has to log in. */
  login: 102,
  /** The server refused the handshake itself; `problem` says why. Trying again would not help. */
  refused: 103,
  /** The server ended the socket without a reason. */
  ended: 104,
} as const;
export type ConnectionCode = (typeof CODES)[keyof typeof CODES];

export interface ConnectionState {
  readonly status: ConnectionStatus;
  readonly code: ConnectionCode;
  /** What the server said, if it said something. */
  readonly problem: Problem | null;
  /** When the client tries again, in milliseconds since 1970; null while it does not wait. */
  readonly retryAt: number | null;
}

/** What `client.on` takes besides the types of events. */
export interface ClientEvents {
  /** Each event of each stream, once and in its stream's order. */
  event: TaskwireEvent;
  /** The connection changed its state. */
  connection: ConnectionState;
  /** A stream is live: what comes after this position is heard. `recovered` is false where events before it are missing. */
  located: { stream: string; position: Position; recovered: boolean };
  /** Events of this stream are missing (`recovered: false`): read its state. Stores do it by themselves. */
  reset: { stream: string; position: Position };
  /** The user may not read this stream any more. */
  stream_closed: { stream: string; problem: Problem };
  /** The user has logged in or out, or the login has ended (null). */
  session: User | null;
}

/** A write that the server has not confirmed yet, or that it refused. */
export interface Change {
  readonly id: string;
  readonly kind: ChangeKind;
  /** The task that it is about. A task that is created has a temporary id, `new:…`, until the server gave it one. */
  readonly task: string;
  /** The comment that it is about, if any. */
  readonly comment: string | null;
  /** What is sent. */
  readonly body: Readonly<Record<string, unknown>>;
  /**
   * `pending`: waits for its turn or for the network, and shows. `sending`: is under way, and shows.
   * `conflict`: somebody else was faster; does not show. They changed the same fields, and `theirs` has the server's version,
   * or they deleted it.
   * `failed`: the server refused it for another reason (`problem`), which no faster client had a part in; does not show.
   */
  readonly state: "pending" | "sending" | "conflict" | "failed";
  readonly problem: Problem | null;
  /** In a conflict: the task or comment as the server has it; null where it is gone. */
  readonly theirs: Task | Comment | null;
  /** The task as the user saw it when the change was made, which names one that is gone; null for a new one. */
  readonly seen: Task | null;
  /** When it was made, in milliseconds since 1970. */
  readonly made_at: number;
}

export type ChangeKind =
  | "create"
  | "update"
  | "transition"
  | "assign"
  | "move"
  | "delete"
  | "comment"
  | "edit-comment"
  | "delete-comment";

/** What a write returns at once. It shows at once as well. */
export interface Made {
  /** The id of the change, for `retry` and `discard`. */
  readonly change: string;
  /** The id of the task or comment; of a new one a temporary id. */
  readonly id: string;
  /**
   * The id that the server knows, once it has confirmed the write.
   * Rejects with a `ProblemError` when it refuses it. Nobody has to look at it: the change is in the store as well.
   */
  readonly done: Promise<string>;
}

export interface NewTask {
  /** 1 to 200 characters; white space around them goes. */
  title: string;
  /** Up to 10,000 characters. */
  description?: string | null;
  /** `pending` by default, or one that `pending` reaches in one step (`TRANSITIONS`). */
  status?: Status;
  /** `medium` by default. */
  priority?: Priority;
  /** The id of a category of one's own. */
  category_id?: string | null;
  /** The id of a member. */
  assigned_to?: string | null;
  /** An RFC 3339 time, `2026-12-01T17:00:00Z`: what `date.toISOString()` gives, and not a date alone. */
  due_date?: string | null;
}
/** The fields of a task that `update` sets. */
export type TaskPatch = Partial<Omit<NewTask, "status" | "assigned_to">>;
/** A place in a column. Without `before` and `after` the last one of the column. */
export interface Place {
  /** The column; by default the one that the user sees the task in. */
  status?: Status;
  /** The id of the task that will be the next one. */
  before?: string;
  /** The id of the task that will be the one above. */
  after?: string;
}

/** A project at one moment. It never changes: a new one takes its place. What did not change is the same object. */
export interface ProjectSnapshot {
  /**
   * `loading`: nothing to show yet. `live`: all that has happened is in it. `stale`: what was known last, while the client
   * catches up or is offline. `closed`: the project is gone, the user may not see it, or the login is over (`problem`); empty.
   */
  readonly status: "loading" | "live" | "stale" | "closed";
  readonly problem: Problem | null;
  readonly project: Project | null;
  /** By id, with the changes that wait. */
  readonly tasks: ReadonlyMap<string, Task>;
  /** The tasks of each status in the order of the board, by `position`. */
  readonly columns: Readonly<Record<Status, readonly Task[]>>;
  readonly members: ReadonlyMap<string, Member>;
  /** By the task's id, oldest first. */
  readonly comments: ReadonlyMap<string, readonly Comment[]>;
  /** Writes that wait, and those that were refused, in the order in which they were made. */
  readonly changes: readonly Change[];
  /** How many changes wait. */
  readonly waiting: number;
}

/** A project as the list of one's own shows it: `role` is the user's in it. */
export type OwnProject = Schemas["ProjectItem"];

/** Who the user is and in which projects, at one moment. It never changes: a new one takes its place. */
export interface MeSnapshot {
  /** `loading`: nothing to show yet. `live`: as the server has it. `stale`: what was known last. */
  readonly status: "loading" | "live" | "stale";
  /** Null where the application brings the tokens. */
  readonly user: User | null;
  /**
   * The projects that the user sees, by name. A project that did not change is the same object. Global managers see those of
   * others too (`role` is null), as they were when the list was read last.
   */
  readonly projects: readonly OwnProject[];
}

/** The live list of one's own projects. It is kept up to date from the first `subscribe` or `open()` to `close()`. */
export interface MeStore {
  /** Calls back after each change of the snapshot, at most once for each turn of the event loop. @returns the end of it */
  subscribe(listener: () => void): () => void;
  /** The same object until something changes. */
  getSnapshot(): MeSnapshot;
  /** Resolves when the store is `live`. Rejects when it is closed. */
  open(): Promise<MeSnapshot>;
  close(): void;
}

/** A live project. It follows its stream from the first `subscribe` or `open()` to `close()`. */
export interface ProjectStore {
  readonly id: string;
  /** Calls back after each change of the snapshot, at most once for each turn of the event loop. @returns the end of it */
  subscribe(listener: () => void): () => void;
  /** The project now. The same object until something changes: fit for React's `useSyncExternalStore`. */
  getSnapshot(): ProjectSnapshot;
  /** Resolves when the store is `live`. @throws ProblemError when it is closed */
  open(): Promise<ProjectSnapshot>;
  /** Stops following; waiting changes stay in the storage. */
  close(): void;

  /** @throws TypeError for a status that is none */
  create(task: NewTask): Made;
  update(task: string, patch: TaskPatch): Made;
  /**
   * The strict way: exactly one of those that want the same transition gets it.
   * @throws TypeError for a status that is none
   */
  transition(task: string, to: Status): Made;
  /** @param user the id of a member; null for nobody */
  assign(task: string, user: string | null): Made;
  /**
   * To a place in its column, or to another column. Only another status that somebody set meanwhile is a conflict.
   * @throws TypeError for a status that is none
   */
  move(task: string, to?: Place): Made;
  delete(task: string): Made;
  /** @param body 1 to 10,000 characters */
  comment(task: string, body: string): Made;
  editComment(task: string, comment: string, body: string): Made;
  deleteComment(task: string, comment: string): Made;

  /** Sends a refused change again, on top of what the server has now. */
  retry(change: string): void;
  /** Forgets a refused change, or one that has not been sent. */
  discard(change: string): void;
  /** The id that the server gave to a task with a temporary id; other ids as they are. */
  realId(id: string): string;
}
