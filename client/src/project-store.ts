/** A live project: what the server has (replica.ts), with the user's own changes on top (outbox.ts). */
import type { Auth } from "./auth.ts";
import type { Connection } from "./connection.ts";
import type { Http } from "./http.ts";
import { Outbox, type Wanted } from "./outbox.ts";
import { type Problem, ProblemError } from "./problem.ts";
import { Replica, type ReplicaOptions } from "./replica.ts";
import { readAll } from "./snapshot.ts";
import type { Saver } from "./storage.ts";
import type { Located } from "./streams.ts";
import {
  type ClientStorage,
  CODES,
  type Comment,
  type Made,
  type Member,
  type NewTask,
  type Place,
  type ProjectSnapshot,
  type ProjectStore,
  type Status,
  type Task,
  type TaskPatch,
  type TaskwireEvent,
} from "./types.ts";
import { type Names, snapshotOf } from "./view.ts";
import { Watchers } from "./watchers.ts";

export interface StoreOptions {
  id: string;
  http: Http;
  auth: Pick<Auth, "account" | "restore">;
  connection: Pick<Connection, "state" | "position" | "follow" | "unfollow" | "connect">;
  storage: ClientStorage;
  saver: Saver;
  prefix: string;
  /** Whether anything outlives the page: then the state is written down. */
  isKept: boolean;
  inTurn: ReplicaOptions["inTurn"];
  failed: (error: unknown) => void;
  /** The store was closed. */
  closed: () => void;
}

const SAVE_EVERY_MS = 2000;

export class Store implements ProjectStore {
  readonly id: string;
  readonly stream: string;
  readonly #options: StoreOptions;
  readonly #replica: Replica;
  readonly #outbox: Outbox;
  readonly #watchers: Watchers;
  #names: Names = new Map();
  #started: Promise<void> | null = null;
  /** Whose state and changes these are; null before they are loaded. */
  #account: string | null = null;
  #isStopped = false;
  #isNaming = false;
  #snapshot: ProjectSnapshot | null = null;
  #isStale = true;
  #saving: ReturnType<typeof setTimeout> | undefined;

  constructor(options: StoreOptions) {
    const { id, http, storage, saver, inTurn, failed } = options;
    this.id = id;
    this.stream = `project:${id}`;
    this.#options = options;
    this.#watchers = new Watchers(failed);
    const changed = (): void => this.#touch();
    this.#outbox = new Outbox({
      project: id,
      http,
      storage,
      saver,
      failed,
      changed,
      overdue: () => this.#replica.fetch(),
    });
    this.#replica = new Replica({
      project: id,
      http,
      inTurn,
      failed,
      changed,
      replaced: (readAt) => {
        this.#outbox.settle(this.#replica.contents, readAt);
        this.#saveLater();
        void this.#readNames();
      },
    });
  }

  subscribe = (listener: () => void): (() => void) => {
    void this.#start();
    return this.#watchers.add(listener);
  };

  getSnapshot = (): ProjectSnapshot => {
    if (this.#snapshot === null || this.#isStale) {
      this.#isStale = false;
      const { contents, closed } = this.#replica;
      const state = { status: this.#status, problem: closed };
      this.#snapshot = snapshotOf(state, contents, this.#names, this.#outbox.changes, this.#snapshot);
    }
    return this.#snapshot;
  };

  async open(): Promise<ProjectSnapshot> {
    await this.#start();
    return this.#watchers.until(() => {
      const snapshot = this.getSnapshot();
      if (snapshot.status === "live") return snapshot;
      if (snapshot.problem !== null) throw new ProblemError(snapshot.problem);
      if (this.#isStopped) throw new Error("the store was closed");
      return null;
    });
  }

  close(): void {
    if (this.#isStopped) return;
    this.flush();
    this.#isStopped = true;
    this.#replica.stop();
    this.#outbox.stop();
    this.#options.connection.unfollow(this.stream);
    this.#options.closed();
    this.#touch();
  }

  create(task: NewTask): Made {
    return this.#add({ kind: "create", task: "", body: { ...task } });
  }

  update(task: string, patch: TaskPatch): Made {
    return this.#change("update", task, { ...patch });
  }

  transition(task: string, to: Status): Made {
    return this.#add({ kind: "transition", task, body: { to } });
  }

  assign(task: string, user: string | null): Made {
    return this.#change("assign", task, { assigned_to: user });
  }

  move(task: string, { status, before, after }: Place): Made {
    const body = {
      ...(status !== undefined && { status }),
      ...(before !== undefined && { before: this.realId(before) }),
      ...(after !== undefined && { after: this.realId(after) }),
    };
    return this.#add({ kind: "move", task, body });
  }

  delete(task: string): Made {
    return this.#change("delete", task, {});
  }

  comment(task: string, body: string): Made {
    return this.#add({ kind: "comment", task, body: { body } });
  }

  editComment(task: string, comment: string, body: string): Made {
    return this.#change("edit-comment", task, { body }, comment);
  }

  deleteComment(task: string, comment: string): Made {
    return this.#change("delete-comment", task, {}, comment);
  }

  retry(change: string): void {
    this.#outbox.retry(change);
  }

  discard(change: string): void {
    this.#outbox.discard(change);
  }

  realId = (id: string): string => this.#outbox.realId(id);

  /** The stream is live. */
  located(located: Located): void {
    this.#replica.locate(located);
    this.#touch();
  }

  /** An event of the stream, once and in order. */
  heard(event: TaskwireEvent): void {
    this.#replica.hear(event);
    this.#outbox.heard(event);
    this.#outbox.settle(this.#replica.contents);
    if (event.type === "member_added") void this.#readNames();
    this.#saveLater();
    this.#touch();
  }

  /** The user may not read the stream any more. */
  lost(problem: Problem): void {
    this.#replica.close(problem);
    clearTimeout(this.#saving);
    this.#saving = undefined;
    if (this.#account !== null) this.#options.saver.save(this.#key("state"), null);
    this.#touch();
  }

  /** The connection has another state. */
  connectionChanged(isReady: boolean): void {
    if (isReady) {
      this.#outbox.wake();
      this.#replica.wake();
    } else this.#replica.interrupt();
    this.#touch();
  }

  /** Writes down what is not written yet: the page is put away. */
  flush(): void {
    if (this.#saving === undefined) return;
    clearTimeout(this.#saving);
    this.#saving = undefined;
    const text = this.#account === null ? null : this.#replica.toJson();
    if (text !== null) this.#options.saver.save(this.#key("state"), () => text);
  }

  get #status(): ProjectSnapshot["status"] {
    if (this.#replica.closed !== null) return "closed";
    if (!this.#replica.isKnown) return "loading";
    return this.#replica.isCurrent && this.#options.connection.state.status === "ready" ? "live" : "stale";
  }

  #key(what: string): string {
    return `${this.#options.prefix}${what}:${this.#account}:${this.id}`;
  }

  #start(): Promise<void> {
    this.#started ??= this.#load();
    return this.#started;
  }

  async #load(): Promise<void> {
    const { connection, auth, storage, failed } = this.#options;
    await auth.restore();
    this.#account = auth.account;
    // A storage that fails is an empty one.
    const kept = await storage.get(this.#key("state")).catch((error: unknown) => {
      failed(error);
      return null;
    });
    await this.#outbox.load(`${this.#key("outbox")}:`);
    try {
      this.#replica.load(kept);
    } catch (error) {
      failed(error);
      this.#replica.load(null);
    }
    this.#touch();
    if (this.#isStopped) return;
    connection.follow(this.stream);
    if (connection.state.code === CODES.idle) connection.connect();
    // The stream was live before this store was made.
    const position = connection.position(this.stream);
    if (connection.state.status === "ready" && position !== undefined)
      this.located({ ...position, recovered: true });
    void this.#readNames();
  }

  /** Names of members: events have their ids alone. */
  async #readNames(): Promise<void> {
    const isUnnamed = (): boolean =>
      [...this.#replica.contents.members.keys()].some((id) => !this.#names.has(id));
    if (this.#isNaming || this.#isStopped || !isUnnamed()) return;
    this.#isNaming = true;
    try {
      const members = await readAll<Required<Member>>(this.#options.http, `/projects/${this.id}/members`);
      this.#names = new Map(
        members.map(({ user_id, username, first_name, last_name }) => [
          user_id,
          { username, first_name, last_name },
        ]),
      );
      this.#touch();
    } catch {
      // A board shows ids until the next member comes, or the next start.
    } finally {
      this.#isNaming = false;
    }
  }

  #add(wanted: Omit<Wanted, "by">): Made {
    void this.#start();
    return this.#outbox.add({ ...wanted, by: this.#options.auth.account });
  }

  /** A change of what the user sees: its version and its fields are those that are shown. */
  #change(
    kind: Wanted["kind"],
    task: string,
    body: Record<string, unknown>,
    comment: string | null = null,
  ): Made {
    const { tasks, comments } = this.getSnapshot();
    const id = this.realId(task);
    const shown: Task | Comment | undefined =
      comment === null ? tasks.get(id) : comments.get(id)?.find((other) => other.id === this.realId(comment));
    const was = Object.fromEntries(
      Object.keys(body).map((field) => [field, (shown as Record<string, unknown> | undefined)?.[field]]),
    );
    return this.#add({ kind, task, comment, body, was, version: shown?.version ?? null });
  }

  #saveLater(): void {
    if (this.#options.isKept && !this.#isStopped)
      this.#saving ??= setTimeout(() => this.flush(), SAVE_EVERY_MS);
  }

  /** Something else is to be shown. */
  #touch(): void {
    this.#isStale = true;
    this.#watchers.tell();
  }
}
