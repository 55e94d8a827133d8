/**
 * The state of a project as the server has it: a snapshot and the events after it.
 *
 * The replica has a position of its own, which may be ahead of the connection's, since a snapshot can be newer than what the
 * socket has brought so far. It reads a snapshot when the connection says that the stream is live at another position than
 * its own, a later or an earlier one, and keeps the events that come meanwhile for the end of it.
 */
import { applyEvent, type Contents, emptyContents, putComment } from "./fold.ts";
import type { Http } from "./http.ts";
import { Pause, pauseFor } from "./pauses.ts";
import type { Problem } from "./problem.ts";
import { readAll, readSnapshot } from "./snapshot.ts";
import type { Located } from "./streams.ts";
import type { Comment, Member, Position, Task, TaskwireEvent } from "./types.ts";

export interface ReplicaOptions {
  /** The id of the project. */
  project: string;
  http: Http;
  /** Does work when the same work of other stores is done: a user reads two snapshots at once. */
  inTurn: <Result>(work: () => Promise<Result>) => Promise<Result>;
  /** Something else is to be shown. */
  changed: () => void;
  /** The contents are those of a snapshot. @param readAt when it was asked for, in milliseconds since 1970 */
  replaced: (readAt: number) => void;
  failed: (error: unknown) => void;
}

/** What is kept over reloads, as JSON. */
interface Kept {
  position: Position;
  project: Contents["project"];
  /** The entries of the maps. */
  entries: [[string, Task][], [string, Comment][], [string, Member][]];
}

export class Replica {
  readonly #options: ReplicaOptions;
  readonly #pause = new Pause();
  #contents = emptyContents();
  /** The last event that is in the contents; null while there are none. */
  #position: Position | null = null;
  /** Where the connection says that the stream is; null while it is not live. */
  #located: Located | null = null;
  /** Events that came since the snapshot was asked for; null while none is being read. */
  #late: TaskwireEvent[] | null = null;
  /** What is being read does not count: it has to be read again. */
  #isVoid = false;
  /** The contents have to be read as soon as the stream is live. */
  #isOutdated = false;
  #closed: Problem | null = null;
  /** Whether the kept state, if any, has been taken up: positions are compared from then on. */
  #isLoaded = false;
  #isStopped = false;

  constructor(options: ReplicaOptions) {
    this.#options = options;
  }

  get contents(): Contents {
    return this.#contents;
  }

  /** Why the user may not read the project any more. */
  get closed(): Problem | null {
    return this.#closed;
  }

  /** Whether there is something to show. */
  get isKnown(): boolean {
    return this.#position !== null;
  }

  /** Whether all that has happened is in the contents, as long as the connection is ready. */
  get isCurrent(): boolean {
    return this.#position !== null && this.#located !== null && this.#late === null && !this.#isStopped;
  }

  /** Begins, with the state of before a reload. @param kept what `toJson` gave then */
  load(kept: unknown): void {
    const { position, project, entries } = (kept ?? {}) as Partial<Kept>;
    // Earlier versions kept something else.
    if (position !== undefined && project !== undefined && entries !== undefined) {
      const [tasks, comments, members] = entries;
      this.#position = position;
      this.#contents = {
        project,
        tasks: new Map(tasks),
        comments: new Map(comments),
        members: new Map(members),
        gone: new Set(),
      };
    }
    this.#isLoaded = true;
    if (this.#located !== null) this.#compare(this.#located);
  }

  /** The state as text; null while there is none that holds. */
  toJson(): string | null {
    if (this.#position === null || this.#late !== null || this.#isOutdated) return null;
    const { project, tasks, comments, members } = this.#contents;
    return JSON.stringify({
      position: this.#position,
      project,
      entries: [[...tasks], [...comments], [...members]],
    } satisfies Kept);
  }

  /** The stream is live. */
  locate(located: Located): void {
    this.#located = located;
    this.#closed = null;
    if (this.#isLoaded) this.#compare(located);
  }

  /** An event of the stream, once and in order. */
  hear(event: TaskwireEvent): void {
    this.#late?.push(event);
    if (this.#position === null || event.seq < this.#position.seq) return;
    if (event.seq === this.#position.seq + 1) this.#apply(event);
    // Another event under the number that one has is one of another history.
    else if (event.seq > this.#position.seq || event.id !== this.#position.id) this.fetch();
  }

  /** The connection is not ready any more. */
  interrupt(): void {
    this.#located = null;
  }

  /** A pause between attempts ends. */
  wake(): void {
    this.#pause.end();
  }

  /** The user may not read the project any more. */
  close(problem: Problem): void {
    this.#closed = problem;
    this.#located = null;
    this.#position = null;
    this.#contents = emptyContents();
    this.#isVoid = true;
    this.#pause.end();
  }

  stop(): void {
    this.#isStopped = true;
    this.#pause.end();
  }

  /** Reads the state, now or again, or as soon as the stream is live. */
  fetch(): void {
    if (this.#isStopped) return;
    if (this.#located === null) {
      this.#isOutdated = true;
      return;
    }
    if (this.#late !== null) {
      this.#isVoid = true;
      this.#pause.end();
      return;
    }
    this.#late = [];
    this.#options.changed();
    this.#read().catch(this.#options.failed);
  }

  /** The stream is live at a position: whether the contents are those of it. */
  #compare({ seq, id, recovered }: Located): void {
    const own = this.#position;
    if (own?.seq === seq && own.id === id && !this.#isOutdated) return;
    // Contents that are ahead may be of a history that a restore has ended: no event would say so. What follows goes on from
    // here, also on what is shown meanwhile.
    if (own !== null && !recovered) this.#position = { seq, id };
    this.fetch();
  }

  async #read(): Promise<void> {
    const { http, inTurn, project } = this.#options;
    const isOver = (): boolean => this.#closed !== null || this.#isStopped;
    for (let failures = 0; !isOver();) {
      this.#isVoid = false;
      this.#late = [];
      const readAt = Date.now();
      try {
        const { contents, head } = await inTurn(() => readSnapshot(http, project));
        if (!isOver() && !this.#isVoid) this.#replace(contents, head, readAt);
        if (!this.#isVoid) break;
      } catch (error) {
        if (isOver()) break;
        failures += 1;
        await this.#pause.wait(pauseFor(failures, error));
      }
    }
    this.#late = null;
    this.#options.changed();
  }

  /** Puts what was read in the place of what was there, and the events that came meanwhile on top. */
  #replace(contents: Contents, head: Position, readAt: number): void {
    const late = this.#late ?? [];
    this.#contents = contents;
    this.#position = head;
    this.#isOutdated = false;
    for (const event of late)
      if (event.seq === this.#position.seq + 1) this.#apply(event);
      else if (event.seq > this.#position.seq) this.#isVoid = true;
    this.#options.replaced(readAt);
  }

  #apply(event: TaskwireEvent): void {
    applyEvent(this.#contents, event);
    this.#position = { seq: event.seq, id: event.id };
    if (event.type === "task_restored") void this.#readComments(event.data.task.id);
  }

  /** A restored task comes without its comments. */
  async #readComments(task: string): Promise<void> {
    const contents = this.#contents;
    const isStill = (): boolean => contents === this.#contents && contents.tasks.has(task);
    try {
      const comments = await readAll<Comment>(this.#options.http, `/tasks/${task}/comments`);
      if (!isStill()) return;
      for (const comment of comments) putComment(contents, comment);
      this.#options.changed();
    } catch {
      // The whole state has them.
      if (isStill()) this.fetch();
    }
  }
}
