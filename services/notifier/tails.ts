/**
 * The tails of the streams that sockets of this node listen to, each with the reads of the log that it asks for
 * (stream-tail.ts). Nothing here knows a socket: what a tail says goes to `deliver`.
 */
import { Problem } from "../../core/errors.ts";
import type { CommittedEvent, Position } from "../../core/events.ts";
import type { Log } from "../../core/log.ts";
import type { Database } from "../../mixins/database.ts";
import {
  readHeads,
  readLog,
  readMoment,
  readMoved,
  type StreamHead,
} from "../../mixins/event-log.queries.ts";
import { batched } from "./batched.ts";
import { BeatQuestions } from "./beat-questions.ts";
import type { TailMetrics } from "./notifier-metrics.ts";
import { type Step, StreamTail } from "./stream-tail.ts";

/** Events that a tail reads and sends in one turn: even the longest ones fit into what may wait for a socket. */
const PAGE_EVENTS = 50;

export interface Entry {
  readonly name: string;
  readonly tail: StreamTail;
  /** The first read of the stream's position. */
  opened: Promise<void>;
  /** `members_version` as the database had it when the listeners' access was last checked. */
  membersVersion: number;
  /** Moves with each change of access that this node learns of. */
  epoch: number;
  /** The read of the log that is under way; it never rejects. */
  reading: Promise<void> | null;
  /** Joins and watches under way: they keep the entry while its room is empty. */
  joining: number;
  /** Called when the stream moves: an event, another history, a change of who may read it. Null without any. */
  watchers: Set<() => void> | null;
}

/** In place of the first reads that have ended. */
const OPENED = Promise.resolve();

/** What is done with what the tails find. */
interface Listeners {
  /** Takes what a tail says. */
  deliver(name: string, entry: Entry, step: Step): void;
  /** Sends what was delivered. */
  flush(): void;
  /** A stream is about to be followed: hints of it have to be heard. */
  follow(): void;
  /** Checks who may read a stream, whose `members_version` has moved or whose history is another one. */
  recheck(head: StreamHead, entry: Entry): Promise<void>;
}

export class Tails {
  readonly #entries = new Map<string, Entry>();
  readonly #questions = new BeatQuestions();
  readonly #maybeUnused = new Set<string>();
  readonly #db: Database;
  readonly #log: Log<"warn">;
  readonly #metrics: TailMetrics;
  readonly #listeners: Listeners;
  /** The heads of those streams that have an event, perhaps among others. */
  readonly heads: (names: string[]) => Promise<Map<string, StreamHead>>;

  constructor(db: Database, log: Log<"warn">, metrics: TailMetrics, listeners: Listeners) {
    this.#db = db;
    this.#log = log;
    this.#metrics = metrics;
    this.#listeners = listeners;
    this.heads = batched(
      async (lists: string[][]) => {
        const rows = await readHeads(db, [...new Set(lists.flat())]);
        const heads = new Map(rows.map((head) => [head.name, head]));
        return lists.map(() => heads);
      },
      (names) => names.length,
    );
  }

  /** Tails that know of events which they have not delivered. */
  get behind(): number {
    let behind = 0;
    for (const { tail } of this.#entries.values()) if (tail.isBehind) behind += 1;
    return behind;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name);
  }

  /** Hints of events that were committed. Streams without a tail here are passed over. */
  offer(events: CommittedEvent[]): void {
    for (const event of events) {
      const entry = this.#entries.get(event.stream);
      if (entry !== undefined) this.#take(event.stream, entry, entry.tail.offer(event));
    }
    this.#listeners.flush();
  }

  /**
   * Waits until no tail of these streams is about to get its first position.
   * @throws Problem database-unavailable
   */
  async whenOpen(names: string[]): Promise<void> {
    const isOpening = (name: string): boolean => this.#entries.get(name)?.tail.state === "idle";
    for (let name; (name = names.find(isOpening)) !== undefined;) await this.#entries.get(name)?.opened;
  }

  /**
   * The entries of streams, held for a join until `release`.
   * @param read the heads of streams that are new here, as they are in this turn or later
   */
  hold(
    names: string[],
    read: (missing: string[]) => Promise<Map<string, StreamHead>> = this.heads,
  ): Map<string, Entry> {
    const missing = names.filter((name) => !this.#entries.has(name));
    if (missing.length > 0) this.#listeners.follow();
    const opened = missing.length === 0 ? OPENED : this.#open(missing, read(missing));
    // Each join awaits it and gets its failure.
    opened.catch(() => {});
    for (const name of missing)
      this.#entries.set(name, {
        name,
        tail: new StreamTail(),
        opened,
        membersVersion: 0,
        epoch: 0,
        reading: null,
        joining: 0,
        watchers: null,
      });
    return new Map(
      names.map((name) => {
        const entry = this.#entries.get(name) as Entry;
        entry.joining += 1;
        // All that hold the name hold this one string.
        return [entry.name, entry];
      }),
    );
  }

  release(entries: Iterable<Entry>): void {
    for (const entry of entries) {
      entry.joining -= 1;
      if (entry.joining === 0) this.mayBeUnused(entry.name);
    }
  }

  /** A stream whose last listener or join has gone is looked at by the next `prune`. */
  mayBeUnused(name: string): void {
    this.#maybeUnused.add(name);
  }

  /**
   * Calls `onMove` whenever one of these streams moves beyond a position, and at once if its tail is there already.
   * @returns how to stop that
   * @throws Problem database-unavailable
   */
  async watch(positions: Map<string, Position>, onMove: () => void): Promise<() => void> {
    const entries = this.hold([...positions.keys()]);
    for (const entry of entries.values()) (entry.watchers ??= new Set()).add(onMove);
    const stop = (): void => {
      for (const { watchers } of entries.values()) watchers?.delete(onMove);
      this.release(entries.values());
    };
    try {
      for (const { opened } of entries.values()) await opened;
    } catch (error) {
      stop();
      throw error;
    }
    for (const [name, { tail }] of entries) {
      const { seq, id } = positions.get(name) as Position;
      if (tail.last.seq > seq || (tail.last.seq === seq && tail.last.id !== id)) onMove();
    }
    return stop;
  }

  /** Forgets streams that no socket listens to or joins. */
  prune(hasListeners: (name: string) => boolean): void {
    for (const name of this.#maybeUnused) {
      const entry = this.#entries.get(name);
      // It opens for nobody by now, and is forgotten after that.
      if (entry?.tail.state === "idle") continue;
      this.#maybeUnused.delete(name);
      if (entry?.joining === 0 && !hasListeners(name)) this.#entries.delete(name);
    }
  }

  /**
   * Asks which streams are elsewhere than their tails, and lets tails that missed something read the log. Streams at rest
   * cost no row, and nothing is asked of them again before something was committed (beat-questions.ts).
   * @throws Problem database-unavailable
   */
  async beat(): Promise<void> {
    const now = await readMoment(this.#db);
    for (const question of this.#questions.of(this.#entries.values())) {
      if (question.restedAt(now)) continue;
      const { known } = question;
      const { moment, moved } = await readMoved(this.#db, known);
      if (moved.length === 0) question.rested(known, moment);
      for (const head of moved) await this.#hasMoved(head);
    }
  }

  async #hasMoved(head: StreamHead): Promise<void> {
    const entry = this.#entries.get(head.name);
    if (entry === undefined || entry.tail.state === "idle") return;
    if (head.members_version !== entry.membersVersion || entry.tail.state === "rewritten")
      await this.#recheck(head, entry);
    this.#headIs(head.name, entry, head);
  }

  /**
   * Brings tails to the heads in the database.
   * @param heads as they were read; a stream without an event needs none
   * @throws Problem database-unavailable
   */
  async catchUp(entries: Map<string, Entry>, heads: Map<string, StreamHead>): Promise<void> {
    const headOf = (name: string): StreamHead => heads.get(name) ?? noHead(name);
    for (const [name, entry] of entries) this.#headIs(name, entry, headOf(name));
    for (const [name, { tail, reading }] of entries) {
      await reading;
      if (tail.last.seq < headOf(name).head) throw new Problem("database-unavailable");
    }
  }

  async #open(names: string[], reading: Promise<Map<string, StreamHead>>): Promise<void> {
    try {
      const heads = await reading;
      for (const name of names) {
        const entry = this.#entries.get(name) as Entry;
        const head = heads.get(name) ?? noHead(name);
        entry.membersVersion = head.members_version;
        entry.opened = OPENED;
        this.#take(name, entry, entry.tail.headIs(positionOf(head)));
      }
    } catch (error) {
      for (const name of names) this.#entries.delete(name);
      throw error;
    }
  }

  /** Tells a tail where its stream is, unless a read is about to. */
  #headIs(name: string, entry: Entry, head: StreamHead): void {
    if (entry.tail.state === "rewritten" && entry.reading !== null) return;
    this.#take(name, entry, entry.tail.headIs(positionOf(head)));
  }

  /** Does what a tail says, and reads the log as long as the tail asks. */
  #take(name: string, entry: Entry, step: Step): void {
    this.#deliverIfCurrent(name, entry, step, "hint");
    if (step.read === null && !step.locate) return;
    this.#metrics.holeFound();
    const reading = this.#read(name, entry, step).then(() => {
      if (entry.reading === reading) entry.reading = null;
    });
    entry.reading = reading;
  }

  /** The beat repeats a failed read. */
  async #read(name: string, entry: Entry, step: Step): Promise<void> {
    const { tail } = entry;
    try {
      while ((step.read !== null || step.locate) && this.#entries.get(name) === entry) {
        if (step.read !== null)
          step = tail.loaded(await readLog(this.#db, { stream: name, ...step.read, limit: PAGE_EVENTS }));
        else {
          const head = (await this.heads([name])).get(name) ?? noHead(name);
          // Another history may have other memberships: nothing of it is sent before access is checked.
          await this.#recheck(head, entry);
          step = tail.headIs(positionOf(head));
        }
        this.#deliverIfCurrent(name, entry, step, "log");
        this.#listeners.flush();
      }
    } catch (error) {
      tail.failed();
      this.#log.warn(`reading the log of ${name} failed, the next beat tries again`, error);
    }
  }

  async #recheck(head: StreamHead, entry: Entry): Promise<void> {
    await this.#listeners.recheck(head, entry);
    for (const onMove of entry.watchers ?? []) onMove();
  }

  /** An entry that was forgotten during a read delivers nothing. */
  #deliverIfCurrent(name: string, entry: Entry, step: Step, source: "hint" | "log"): void {
    if (this.#entries.get(name) !== entry) return;
    this.#metrics.delivered(step.deliver, source);
    this.#listeners.deliver(name, entry, step);
    if (step.lost || step.deliver.length > 0) for (const onMove of entry.watchers ?? []) onMove();
  }
}

const noHead = (name: string): StreamHead => ({ name, head: 0, last_id: null, members_version: 0 });
const positionOf = ({ head, last_id }: StreamHead): Position => ({ seq: head, id: last_id });
