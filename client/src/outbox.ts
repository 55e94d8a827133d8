/**
 * The writes of a project that the server has not confirmed yet. They are sent one after another, again until the server has
 * answered, and again after a reload.
 *
 *     pending --turn comes--> sending --answer--> sent --its event--> (gone)
 *     sending --no answer, busy--> pending           sending --409, 412--> conflict    sending --other refusal--> failed
 *     pending, sending --its event--> (gone)         conflict, failed --retry--> pending
 *
 * Nothing is done twice: a POST carries an idempotency key, a PATCH the version that the user saw, and an event of an own
 * change carries its id. `sent` is not kept over reloads; what is sent is the server's.
 */
import { ChangeList } from "./change-list.ts";
import { canMerge, isKeyed, isSettled, type Kept, pathOf, requestOf, temporaryId } from "./changes.ts";
import { newId } from "./environment.ts";
import type { Contents } from "./fold.ts";
import type { Http } from "./http.ts";
import { Pause, pauseAfter } from "./pauses.ts";
import { isLoginNeeded, type Problem, ProblemError } from "./problem.ts";
import type { Saver } from "./storage.ts";
import type { ChangeKind, ClientStorage, Comment, Made, Task, TaskwireEvent } from "./types.ts";

export interface OutboxOptions {
  /** The id of the project. */
  project: string;
  http: Http;
  storage: ClientStorage;
  saver: Saver;
  /** Something else is to be shown. */
  changed: () => void;
  /** The server has confirmed a change, and its event has not come: the state has to be read. */
  overdue: () => void;
  failed: (error: unknown) => void;
}

/** What a new change says of itself. */
export interface Wanted {
  kind: ChangeKind;
  task: string;
  comment?: string | null;
  body?: Record<string, unknown>;
  was?: Record<string, unknown>;
  version?: number | null;
  by: string;
}

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
  detail:
    "The change was sent a day ago without an answer. Look whether it was made before you send it again.",
};

interface Deferred {
  resolve: (id: string) => void;
  reject: (error: unknown) => void;
}

const pick = (from: object, fields: string[]): Record<string, unknown> =>
  Object.fromEntries(fields.map((field) => [field, (from as Record<string, unknown>)[field]]));

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
  /** When the server confirmed what is `sent`. */
  readonly #sentAt = new Map<string, number>();
  /** How often a change was begun again on top of others' ones. */
  readonly #merges = new Map<string, number>();
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
  add({ kind, task, comment = null, body = {}, was = {}, version = null, by }: Wanted): Made {
    if (this.#list.all.length >= MOST) throw new Error(`${MOST} changes wait: no more are taken`);
    const id = newId();
    const change: Kept = {
      id,
      kind,
      task: kind === "create" ? temporaryId(id) : this.realId(task),
      comment: kind === "comment" ? temporaryId(id) : comment && this.realId(comment),
      body,
      was,
      version,
      by,
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
    if (change === undefined || (change.state !== "failed" && change.state !== "conflict")) return;
    // The first try may have been made: only a key of its own makes this another write.
    if (change.problem?.title === OUTCOME_UNKNOWN.title) change.round += 1;
    if (change.theirs !== null && change.version !== null) this.#rebase(change, change.theirs);
    Object.assign(change, { problem: null, theirs: null, sent_at: null });
    this.#set(change, "pending");
    this.wake();
  }

  /** Forgets a change that is not under way, and what was built on it. */
  discard(id: string): void {
    const change = this.#list.find(id);
    if (change === undefined || change.state === "sending" || change.state === "sent") return;
    for (const removed of this.#list.discard(change)) {
      this.#made.get(removed.id)?.reject(new Error("the change was discarded"));
      this.#forget(removed.id);
    }
    this.#options.changed();
    this.wake();
  }

  /** An event came, after it was applied: an own change is there. */
  heard({ request_id, data }: TaskwireEvent): void {
    const change = this.#list.find(request_id);
    if (change === undefined || change.state === "failed" || change.state === "conflict") return;
    const answer = "task" in data ? data.task : "comment" in data ? data.comment : null;
    if (answer === null) return;
    if (change.state !== "sent") this.#confirm(change, answer);
    this.#remove(change);
  }

  /**
   * Forgets confirmed changes that the contents have.
   * @param readAt when the contents began to be read, if they have just been read
   */
  settle(contents: Contents, readAt = 0): void {
    for (const change of this.#list.all)
      if (
        change.state === "sent" &&
        (isSettled(change, contents) || (this.#sentAt.get(change.id) ?? 0) < readAt)
      )
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
      failures = (await this.#send(next)) ? 0 : failures + 1;
      if (failures > 0) await this.#pause.wait(pauseAfter(failures));
    }
  }

  /** @returns false where it has to be tried again later */
  async #send(change: Kept): Promise<boolean> {
    const { http, project } = this.#options;
    if (isKeyed(change) && change.sent_at !== null && Date.now() - change.sent_at > KEY_MS)
      return this.#refuse(change, "failed", OUTCOME_UNKNOWN);
    change.sent_at ??= Date.now();
    this.#set(change, "sending");
    const { method, path, body, headers } = requestOf(change, project);
    try {
      const answer = await http.json(method, path, { body, headers });
      if (this.#isUnderWay(change)) this.#confirm(change, (answer ?? null) as Task | Comment | null);
      return true;
    } catch (error) {
      // Its event came before the answer; or the next page sends it again.
      if (!this.#isUnderWay(change) || this.#isStopped) return true;
      if (isPassing(error)) return this.#later(change);
      return this.#refused(change, (error as ProblemError).problem);
    }
  }

  /** The server has refused a change. @returns false where it has to be tried again later */
  async #refused(change: Kept, problem: Problem): Promise<boolean> {
    const { kind } = change;
    if (problem.status === 404 && (kind === "delete" || kind === "delete-comment"))
      return this.#confirm(change, null);
    if (problem.status !== 409 && problem.status !== 412) return this.#refuse(change, "failed", problem);
    const theirs = await this.#theirs(change);
    if (!this.#isUnderWay(change)) return true;
    if (theirs === undefined) return this.#later(change);
    if (theirs === null || problem.status === 409) return this.#refuse(change, "conflict", problem, theirs);
    if (!canMerge(change, theirs)) return this.#refuse(change, "conflict", problem, theirs);
    this.#rebase(change, theirs);
    this.#set(change, "pending");
    const merges = (this.#merges.get(change.id) ?? 0) + 1;
    this.#merges.set(change.id, merges);
    // A thing that others change all the time is left alone for a moment.
    return merges % MOST_MERGES !== 0;
  }

  /** A change is of another version from now on. */
  #rebase(change: Kept, theirs: Task | Comment): void {
    change.version = theirs.version;
    change.was = pick(theirs, Object.keys(change.body));
  }

  /** What a change is about, as the server has it; null where it is gone, undefined without an answer. */
  async #theirs(change: Kept): Promise<Task | Comment | null | undefined> {
    if (change.kind === "create" || change.kind === "comment") return null;
    try {
      return (await this.#options.http.json("GET", pathOf(change))) as Task | Comment;
    } catch (error) {
      return isPassing(error) ? undefined : null;
    }
  }

  /** The server has made a change. @returns true */
  #confirm(change: Kept, answer: Task | Comment | null): true {
    const temporary =
      change.kind === "create" ? change.task : change.kind === "comment" ? change.comment : null;
    if (temporary !== null && answer !== null) this.#list.name(temporary, answer.id);
    for (const later of this.#list.all)
      // Built on this change, with nothing of others in between.
      if (
        later !== change &&
        pathOf(later) === pathOf(change) &&
        later.version === (answer?.version ?? 0) - 1
      ) {
        later.version = answer?.version ?? null;
        this.#list.save(later);
      }
    change.answer = answer;
    this.#made.get(change.id)?.resolve(answer?.id ?? change.comment ?? change.task);
    this.#made.delete(change.id);
    this.#sentAt.set(change.id, Date.now());
    this.#set(change, "sent");
    clearTimeout(this.#overdue);
    if (!this.#isStopped) this.#overdue = setTimeout(() => this.#expectEvents(), EVENT_MS);
    return true;
  }

  #expectEvents(): void {
    if (this.#list.all.some(({ state }) => state === "sent")) this.#options.overdue();
  }

  /** The change shows no more, and says why. @returns true */
  #refuse(change: Kept, state: "failed" | "conflict", problem: Problem, theirs: Kept["theirs"] = null): true {
    change.problem = problem;
    change.theirs = theirs;
    this.#set(change, state);
    this.#made.get(change.id)?.reject(new ProblemError(problem));
    this.#made.delete(change.id);
    return true;
  }

  /** @returns false */
  #later(change: Kept): false {
    this.#set(change, "pending");
    return false;
  }

  #set(change: Kept, state: Kept["state"]): void {
    change.state = state;
    this.#list.save(change);
    this.#options.changed();
  }

  #isUnderWay(change: Kept): boolean {
    return this.#list.has(change) && change.state === "sending";
  }

  #remove(change: Kept): void {
    this.#list.remove(change);
    this.#forget(change.id);
    this.#options.changed();
  }

  #forget(id: string): void {
    this.#made.delete(id);
    this.#sentAt.delete(id);
    this.#merges.delete(id);
  }
}
