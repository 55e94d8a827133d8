/**
 * The writes of a project that the server has not confirmed yet. They are sent one after another, again until the server has
 * answered, and again after a reload.
 *
 *     pending --turn comes--> sending --answer--> sent --its event--> (gone)
 *     sending --no answer, busy, others changed other fields--> pending
 *     sending --others changed the same fields, or deleted it--> conflict    sending --other refusal--> failed
 *     any --its event--> (gone)                                              conflict, failed --retry--> pending
 *
 * Nothing is done twice: a POST carries an idempotency key, a change of what is there the version that the user saw, and an
 * event of an own change carries its id. `sent` is not kept over reloads; what is sent is the server's.
 */
import { ChangeList } from "./change-list.ts";
import {
  canMerge,
  isDeletion,
  isKeyed,
  isTemporary,
  isSettled,
  type Kept,
  pathOf,
  placeWithout,
  requestOf,
  seenOf,
  shows,
  temporaryId,
} from "./changes.ts";
import { newId } from "./environment.ts";
import type { Contents } from "./fold.ts";
import type { Http } from "./http.ts";
import { Pause, pauseFor } from "./pauses.ts";
import { codeOf, isLoginNeeded, type Problem, ProblemError } from "./problem.ts";
import type { Saver } from "./storage.ts";
import type { ClientStorage, Comment, Made, Task, TaskwireEvent } from "./types.ts";

export interface OutboxOptions {
  /** The id of the project. */
  project: string;
  http: Http;
  storage: ClientStorage;
  saver: Saver;
  /** What the server has, as far as the client knows; null while it knows nothing. */
  contents: () => Contents | null;
  /** Whether there is no network to send by. */
  isOffline: () => boolean;
  /** Something else is to be shown. */
  changed: () => void;
  /** The server has confirmed a change, and its event has not come: the state has to be read. */
  overdue: () => void;
  failed: (error: unknown) => void;
}

/** What a new change says of itself. */
export type Wanted = Pick<Kept, "kind" | "task" | "comment" | "body" | "was" | "seen" | "version" | "by">;

const MOST = 1000;
/** The server keeps idempotency keys for 24 hours. */
const KEY_MS = 23 * 3_600_000;
/** An event comes within two seconds; a state that lacks it after this time is read again. */
const EVENT_MS = 5000;
const MOST_MERGES = 5;

const OUTCOME_UNKNOWN: Problem = {
  type: "about:blank",
  title: "Outcome unknown",
  status: 409,
  detail: "It was sent a day ago, without an answer.",
};

interface Deferred {
  resolve: (id: string) => void;
  reject: (error: unknown) => void;
}

const isUnderWay = ({ state }: Kept): boolean => state === "sending";

/** Whether asking again later may help. */
const isPassing = (error: unknown): boolean =>
  !(error instanceof ProblemError) ||
  isLoginNeeded(error) ||
  [408, 429, 502, 503, 504].includes(error.status) ||
  error.code === "idempotency-key-in-flight";

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #list: ChangeList;
  readonly #pause = new Pause();
  readonly #made = new Map<string, Deferred>();
  /** Why the last attempt has to be repeated. */
  #reason: unknown;
  #isSending = false;
  #isStopped = false;
  #overdue: ReturnType<typeof setTimeout> | undefined;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#list = new ChangeList(options.storage, options.saver);
  }

  /** In the order in which they were made. */
  get changes(): readonly Kept[] {
    return this.#list.all;
  }

  realId(id: string): string {
    return this.#list.realId(id);
  }

  /** Takes up what an earlier page left, and begins to send. @param prefix what the keys of its changes begin with */
  async load(prefix: string): Promise<void> {
    await this.#list.load(prefix).catch(this.#options.failed);
    this.wake();
  }

  /** Adds a change, which shows at once. @throws Error where 1,000 of them are there already */
  add(wanted: Wanted): Made {
    if (this.#list.all.length >= MOST) throw new Error("too many changes");
    const { kind, task, comment } = wanted;
    const id = newId();
    const change: Kept = {
      ...wanted,
      id,
      task: kind === "create" ? temporaryId(id) : this.realId(task),
      comment: kind === "comment" ? temporaryId(id) : comment && this.realId(comment),
      state: "pending",
      problem: null,
      theirs: null,
      // Grows, so that the order survives a reload.
      made_at: Math.max(Date.now(), (this.#list.all.at(-1)?.made_at ?? 0) + 1),
      sent_at: null,
      round: 0,
      answer: null,
    };
    const done = new Promise<string>((resolve, reject) => this.#made.set(id, { resolve, reject }));
    // The change itself says so in the store.
    done.catch(() => undefined);
    this.#list.add(change);
    this.#options.changed();
    this.wake();
    return { change: id, id: change.comment ?? change.task, done };
  }

  /** Sends what waits, now. Nothing is sent before what an earlier page left is known. */
  wake(): void {
    this.#pause.end();
    if (this.#isSending || this.#isStopped || !this.#list.isLoaded) return;
    this.#isSending = true;
    this.#run().catch((error: unknown) => {
      this.#isSending = false;
      this.#options.failed(error);
    });
  }

  /** What is under way is finished; the rest waits for the next page. */
  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#overdue);
    this.#pause.end();
  }

  /** Sends a refused change again, on top of what the server has. */
  retry(id: string): void {
    const change = this.#list.find(id);
    if (change === undefined || shows(change)) return;
    if (change.theirs !== null) this.#rebase(change, change.theirs);
    this.#beginAgain(change);
    this.wake();
  }

  /** Forgets a change that is not under way, and what was built on it. */
  discard(id: string): void {
    const change = this.#list.find(id);
    if (change === undefined || change.state === "sending" || change.state === "sent") return;
    for (const removed of this.#list.discard(change)) {
      this.#made.get(removed.id)?.reject(new Error("the change was discarded"));
      this.#made.delete(removed.id);
    }
    this.#options.changed();
    this.wake();
  }

  /** An event came: an own change is made. It shows on top until the contents have it (`settle`). */
  heard({ request_id, data }: TaskwireEvent): void {
    const change = this.#list.find(request_id);
    const answer = "task" in data ? data.task : "comment" in data ? data.comment : null;
    if (change !== undefined && answer !== null && change.state !== "sent") this.#confirm(change, answer);
  }

  /**
   * Forgets confirmed changes that the contents have.
   * @param readAt when the contents began to be read, if they have just been read
   */
  settle(readAt = 0): void {
    const contents = this.#options.contents();
    if (contents === null) return;
    for (const change of this.#list.all)
      if (change.state === "sent" && (isSettled(change, contents) || (change.sent_at ?? 0) < readAt))
        this.#remove(change);
  }

  async #run(): Promise<void> {
    let failures = 0;
    for (;;) {
      const next = this.#list.all.find(
        (change) => change.state === "pending" && !this.#list.isBlocked(change),
      );
      if (next === undefined || this.#isStopped) {
        this.#isSending = false;
        return;
      }
      // The connection says when the network is back.
      failures = !this.#options.isOffline() && (await this.#send(next)) ? 0 : failures + 1;
      if (failures > 0) await this.#pause.wait(pauseFor(failures, this.#reason));
    }
  }

  /** @returns false where it has to be tried again later */
  async #send(change: Kept): Promise<boolean> {
    const { http, project } = this.#options;
    // Sent again a day later it might be made twice.
    if (isKeyed(change) && change.sent_at !== null && Date.now() - change.sent_at > KEY_MS)
      return this.#refuse(change, "failed", OUTCOME_UNKNOWN);
    change.sent_at ??= Date.now();
    this.#set(change, "sending");
    try {
      const answer = await http.json(...requestOf(change, project));
      if (isUnderWay(change)) this.#confirm(change, (answer ?? null) as Task | Comment | null);
      return true;
    } catch (error) {
      // Its event came before the answer; or the next page sends it again.
      if (!isUnderWay(change) || this.#isStopped) return true;
      if (isPassing(error)) return this.#later(change, error);
      return this.#refused(change, (error as ProblemError).problem);
    }
  }

  /** The server has refused a change. @returns false where it has to be tried again later */
  async #refused(change: Kept, problem: Problem): Promise<boolean> {
    if (problem.status === 404 && change.kind !== "create")
      return isDeletion(change) ? this.#confirm(change, null) : this.#refuse(change, "conflict", problem);
    const contents = this.#options.contents();
    if (codeOf(problem) === "neighbour-moved" && contents !== null)
      change.body = placeWithout(change, contents);
    else if (problem.status === 412) {
      const theirs = await this.#theirs(change);
      if (!isUnderWay(change)) return true;
      if (theirs === undefined) return this.#later(change);
      if (theirs === null || !canMerge(change, theirs))
        return this.#refuse(change, "conflict", problem, theirs);
      this.#rebase(change, theirs);
    } else return this.#refuse(change, "failed", problem);
    this.#beginAgain(change);
    // A thing that others change all the time is left alone for a moment.
    return change.round % MOST_MERGES !== 0;
  }

  /** A change is of another version from now on. */
  #rebase(change: Kept, theirs: Task | Comment): void {
    change.version = theirs.version;
    Object.assign(change.was, seenOf(change, theirs));
  }

  /** The server has not made a change: the next try is another write, with a key of its own. */
  #beginAgain(change: Kept): void {
    Object.assign(change, { round: change.round + 1, sent_at: null, problem: null, theirs: null });
    this.#set(change, "pending");
  }

  /** What a change is about, as the server has it; null where it is gone, undefined without an answer. */
  async #theirs(change: Kept): Promise<Task | Comment | null | undefined> {
    try {
      return (await this.#options.http.json("GET", pathOf(change))) as Task | Comment;
    } catch (error) {
      return isPassing(error) ? undefined : null;
    }
  }

  /** The server has made a change. @returns true */
  #confirm(change: Kept, answer: Task | Comment | null): true {
    const temporary = change.comment ?? change.task;
    if (answer !== null) {
      if (isTemporary(temporary)) this.#list.name(temporary, answer.id);
      for (const later of this.#list.all)
        // Built on this change, with nothing of others in between.
        if (later !== change && pathOf(later) === pathOf(change) && later.version === answer.version - 1) {
          later.version = answer.version;
          this.#list.save(later);
        }
    }
    change.answer = answer;
    change.sent_at = Date.now();
    this.#made.get(change.id)?.resolve(change.comment ?? change.task);
    this.#set(change, "sent");
    clearTimeout(this.#overdue);
    if (this.#isStopped) return true;
    this.#overdue = setTimeout(() => {
      if (this.#list.all.some(({ state }) => state === "sent")) this.#options.overdue();
    }, EVENT_MS);
    return true;
  }

  /** The change shows no more, and says why. @returns true */
  #refuse(change: Kept, state: "failed" | "conflict", problem: Problem, theirs: Kept["theirs"] = null): true {
    Object.assign(change, { problem, theirs });
    this.#set(change, state);
    this.#made.get(change.id)?.reject(new ProblemError(problem));
    return true;
  }

  /** @returns false */
  #later(change: Kept, reason?: unknown): false {
    this.#reason = reason;
    this.#set(change, "pending");
    return false;
  }

  #set(change: Kept, state: Kept["state"]): void {
    change.state = state;
    this.#list.save(change);
    this.#options.changed();
  }

  #remove(change: Kept): void {
    this.#list.remove(change);
    this.#made.delete(change.id);
    this.#options.changed();
  }
}
