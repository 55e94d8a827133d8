/** A live project: what the server has (replica.ts), with the user's own changes on top (outbox.ts). */
import type { Auth } from "./auth.ts";
import type { Connection } from "./connection.ts";
import type { Http } from "./http.ts";
import { fieldsOf, seenOf } from "./changes.ts";
import { isOffline } from "./environment.ts";
import { checkStatus } from "./statuses.ts";
import { Outbox, type Wanted } from "./outbox.ts";
import { LOGIN_NEEDED, type Problem, ProblemError } from "./problem.ts";
import { Replica, type ReplicaOptions } from "./replica.ts";
import { readAll } from "./snapshot.ts";
import { readJson, type Saver } from "./storage.ts";
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
    const { id, http, connection, storage, saver, inTurn, failed } = options;
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
      contents: () => (this.#replica.isKnown ? this.#replica.contents : null),
      isOffline: () => isOffline() && connection.state.status !== "ready",
      overdue: () => this.#replica.fetch(),
    });
    this.#replica = new Replica({
      project: id,
      http,
      inTurn,
      failed,
      changed,
      replaced: (readAt) => {
        this.#outbox.settle(readAt);
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
      const changes = closed === null ? this.#outbox.changes : [];
      this.#snapshot = snapshotOf(state, contents, this.#names, changes, this.#snapshot);
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

  /** @param isEnded the login is over: who holds the store sees nothing of it any more */
  close(isEnded = false): void {
    if (this.#isStopped) return;
    this.flush();
    if (isEnded) this.#replica.close(LOGIN_NEEDED);
    this.#isStopped = true;
    this.#replica.stop();
    this.#outbox.stop();
    this.#options.connection.unfollow(this.stream);
    this.#options.closed();
    this.#touch();
  }

  create(task: NewTask): Made {
    return this.#add("create", "", task);
  }

  update(task: string, patch: TaskPatch): Made {
    return this.#add("update", task, patch);
  }

  transition(task: string, to: Status): Made {
    return this.#add("transition", task, { to });
  }

  assign(task: string, user: string | null): Made {
    return this.#add("assign", task, { assigned_to: user });
  }

  move(task: string, place: Place = {}): Made {
    const { tasks } = this.getSnapshot();
    // The column that the user sees, also where only the order is to change.
    const body: Record<string, unknown> = { status: tasks.get(this.realId(task))?.status, ...place };
    const neighbour = this.realId(place.before ?? place.after ?? "");
    if (place.before !== undefined) body.before = neighbour;
    else if (place.after !== undefined) body.after = neighbour;
    return this.#add("move", task, body, null, { place: tasks.get(neighbour)?.position || undefined });
  }

  delete(task: string): Made {
    return this.#add("delete", task);
  }

  comment(task: string, body: string): Made {
    return this.#add("comment", task, { body });
  }

  editComment(task: string, comment: string, body: string): Made {
    return this.#add("edit-comment", task, { body }, comment);
  }

  deleteComment(task: string, comment: string): Made {
    return this.#add("delete-comment", task, {}, comment);
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
    this.#outbox.settle();
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
    if (this.#isStopped) return;
    this.#account = auth.account;
    const kept = await readJson(storage, this.#key("state"), failed);
    await this.#outbox.load(`${this.#key("outbox")}:`);
    if (this.#isStopped) return;
    this.#replica.load(kept);
    this.#touch();
    connection.follow(this.stream);
    // Nobody has ended the connection: there was none, or the login of then has ended.
    if ([CODES.idle, CODES.login].some((code) => code === connection.state.code)) connection.connect();
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

  /** A change of what the user sees: its version and its fields are those that are shown. */
  #add(
    kind: Wanted["kind"],
    task: string,
    wanted: object = {},
    comment: string | null = null,
    more: Record<string, unknown> = {},
  ): Made {
    if (this.#replica.closed === LOGIN_NEEDED) throw new ProblemError(LOGIN_NEEDED);
    // As it will be sent.
    const body = JSON.parse(JSON.stringify(wanted)) as Record<string, unknown>;
    const fields = fieldsOf({ kind, body });
    if ("status" in fields) checkStatus(fields.status);
    void this.#start();
    const { tasks, comments } = this.getSnapshot();
    const id = this.realId(task);
    const seen = tasks.get(id) ?? null;
    const shown: Task | Comment | null | undefined =
      comment === null ? seen : comments.get(id)?.find((other) => other.id === this.realId(comment));
    const was = { ...seenOf({ kind, body }, shown), ...more };
    const version = kind === "comment" ? null : (shown?.version ?? null);
    return this.#outbox.add({
      kind,
      task,
      comment,
      body,
      was,
      seen,
      version,
      by: this.#options.auth.account,
    });
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
