/**
 * The streams that somebody on this node listens to. Each has a tail (stream-tail.ts), which decides what is sent, and
 * a socket.io room, to which it is sent. A socket is in the room from the moment on from which it gets the live events:
 * it joins in the tick in which its replay has reached the tail, so that there is neither hole nor repeat between them.
 *
 * Nothing leaks: who may read is asked when a socket joins; an event that takes somebody's access away takes their
 * sockets out of the room before it is sent; and the beat, which compares `members_version`, asks anew when an access
 * was changed by an event that we did not see yet. A join that overlaps any of these (`epoch`) asks again.
 */
import { setImmediate } from "node:timers/promises";
import type { Server, Socket } from "socket.io";
import { Problem, problemDocument } from "../../core/errors.ts";
import { isEvent, type LoggedEvent } from "../../core/events.ts";
import type { Actor } from "../../core/kit.ts";
import type { Log } from "../../core/log.ts";
import type { Database } from "../../mixins/database.ts";
import { projectStream } from "../../mixins/event-log.ts";
import { readHeads, readLog, readLogs, type StreamHead } from "../../mixins/event-log.queries.ts";
import { movesAccess } from "../events.ts";
import { memberEvents, projectEvents } from "../projects/projects.contract.ts";
import { type Handshake, MAX_STREAMS } from "./handshake.ts";
import { readableStreams, readersOf } from "./notifier.queries.ts";
import { cutOff, drained, isTooSlow, letGo, sentBytes } from "./slow-client.ts";
import { type Step, StreamTail } from "./stream-tail.ts";

/** Events that one read of the log returns at the most. */
const PAGE = 200;
/** Events that a tail reads and sends in one turn: even the longest ones must find room with those who read well. */
const TAIL_PAGE = 50;
/** Bytes, about, that a socket's replay sends before it waits for the client to read. */
const PAGE_BYTES = 1_000_000;
/** Streams that are joined by one read, and what that reads of each: of a client that was away briefly, all it missed. */
const JOINED_AT_ONCE = 50;
const FIRST_EVENTS = PAGE / JOINED_AT_ONCE;

export interface SocketData {
  actor: Actor;
  /** Milliseconds since 1970; null for a personal token that does not expire. */
  expiresAt: number | null;
  /** What it asked for, until it gets that. */
  handshake: Handshake | null;
  /** Whether the socket follows its user into projects and out of them, as one does that named no streams. */
  follows: boolean;
  /** Streams that it has no room for. */
  leftOut: number;
}

export type ClientSocket = Socket<never, Record<string, (data: unknown) => void>, never, SocketData>;
export type PushServer = Server<never, Record<string, (data: unknown) => void>, never, SocketData>;

/** A socket's place in a stream. `recovered`: everything after its cursor was sent. */
export interface Position {
  seq: number;
  recovered: boolean;
}

export interface Joined {
  /** In each stream that was joined. */
  positions: Map<string, Position>;
  /** Streams that may not be read. */
  unreadable: string[];
  /** Streams that the socket has no room for. */
  leftOut: number;
}

/** What a socket's join of one stream begins with. */
interface Start {
  cursor: number | null;
  /** Of the entry, as it was before the socket's access was read. */
  epoch: number;
  /** Who the socket spoke for, when its access was read. */
  actor: Actor;
  /** What follows the cursor, where it was read along with other streams'. */
  page?: LoggedEvent[] | undefined;
}

interface Entry {
  tail: StreamTail;
  opened: Promise<void>;
  /** As last seen in the database. */
  membersVersion: number;
  /** Moves with each change of access that this node learns of. */
  epoch: number;
  /** The read of the log that is under way; it never rejects. */
  reading: Promise<void> | null;
  /** Joins under way: they keep the entry though its room is empty. */
  joining: number;
}

export class Streams {
  readonly #entries = new Map<string, Entry>();
  readonly #db: Database;
  readonly #io: PushServer;
  readonly #log: Log<"warn">;

  constructor(db: Database, io: PushServer, log: Log<"warn">) {
    this.#db = db;
    this.#io = io;
    this.#log = log;
  }

  /** Hints from the broker. Streams that nobody here listens to are passed over. */
  offer(events: LoggedEvent[]): void {
    for (const event of events) {
      const entry = this.#entries.get(event.stream);
      if (entry !== undefined) this.#take(event.stream, entry, entry.tail.offer(event));
    }
  }

  /**
   * Joins a socket to streams: those it may read and has room for, each after its cursor where it has one.
   * @throws Problem database-unavailable
   */
  async join(socket: ClientSocket, wanted: Map<string, number | null>): Promise<Joined> {
    const joined: Joined = { positions: new Map(), unreadable: [], leftOut: 0 };
    const entries = this.#open([...wanted.keys()]);
    try {
      for (const entry of entries.values()) await entry.opened;
      const epochs = new Map([...entries].map(([name, { epoch }]) => [name, epoch]));
      const { actor } = socket.data;
      const readable = await readableStreams(this.#db, actor, [...wanted.keys()]);
      const due = [...entries].filter(([name]) => readable.has(name));
      joined.unreadable = [...wanted.keys()].filter((name) => !readable.has(name));
      const cursorOf = (name: string): number | null => wanted.get(name) ?? null;
      await this.#catchUp(due.filter(([name, { tail }]) => (cursorOf(name) ?? 0) > tail.last));

      for (let at = 0; at < due.length; at += JOINED_AT_ONCE) {
        const batch = due.slice(at, at + JOINED_AT_ONCE);
        const spans = batch.flatMap(([stream, { tail }]) => {
          const after = cursorOf(stream);
          return after === null || after >= tail.last ? [] : [{ stream, after, upTo: tail.last }];
        });
        const pages = spans.length === 0 ? null : await readLogs(this.#db, spans, FIRST_EVENTS);
        for (const [name, entry] of batch) {
          const start = {
            cursor: cursorOf(name),
            epoch: epochs.get(name) as number,
            actor,
            page: pages?.get(name),
          };
          const position = await this.#joinOne(socket, name, entry, start);
          if (position === "full") joined.leftOut += 1;
          else if (position !== null) joined.positions.set(name, position);
          else joined.unreadable.push(name);
        }
        // Thousands of streams are no reason to keep others waiting.
        if (pages === null) await setImmediate();
      }
    } finally {
      for (const entry of entries.values()) entry.joining -= 1;
    }
    return joined;
  }

  /** Tells a client that these streams are live, and how many its socket has no room for, where there are any. */
  ready(socket: ClientSocket, positions: Map<string, Position>): void {
    const { leftOut } = socket.data;
    socket.emit("ready", {
      streams: Object.fromEntries(positions),
      ...(leftOut > 0 && { left_out: leftOut }),
    });
  }

  /** Takes a socket out of a stream; nothing of it is sent to it after this. */
  async leave(socket: ClientSocket, name: string): Promise<void> {
    await socket.leave(name);
  }

  /**
   * Closes the streams of a socket that its new token does not reach. A join under way asks again by itself.
   * @throws Problem database-unavailable; the socket is let go then, since it might have what it may not
   */
  async renewed(socket: ClientSocket): Promise<void> {
    const names = [...socket.rooms].filter((name) => name !== socket.id);
    try {
      const readable = await readableStreams(this.#db, socket.data.actor, names);
      for (const name of names) if (!readable.has(name) && socket.rooms.has(name)) this.close(socket, name);
    } catch (error) {
      letGo(socket);
      throw error;
    }
  }

  /** Closes a stream for a socket whose user may not read it any more, and says so. */
  close(socket: ClientSocket, name: string): void {
    void socket.leave(name);
    socket.emit("stream_closed", {
      stream: name,
      problem: problemDocument("not-found", "You may not read this stream any more", {
        resource: { type: "stream", id: name },
      }),
    });
  }

  /**
   * Once a second: reads what no hint told us, asks anew who may read where that changed, forgets streams without
   * listeners. One query, and more only where something was missed.
   */
  async beat(): Promise<void> {
    const rooms = this.#io.of("/").adapter.rooms;
    for (const [name, entry] of this.#entries)
      if (entry.joining === 0 && entry.tail.state !== "idle" && !rooms.has(name)) this.#entries.delete(name);
    if (this.#entries.size === 0) return;

    for (const head of await readHeads(this.#db, [...this.#entries.keys()])) {
      const entry = this.#entries.get(head.name);
      if (entry === undefined || entry.tail.state === "idle") continue;
      if (head.members_version !== entry.membersVersion) await this.#recheck(head, entry);
      this.#take(head.name, entry, entry.tail.headIs(head.head));
    }
  }

  #open(names: string[]): Map<string, Entry> {
    const missing = names.filter((name) => !this.#entries.has(name));
    const opened = missing.length === 0 ? Promise.resolve() : this.#readPositions(missing);
    // Whoever joins waits for it; a second one is not needed to hear of its failure.
    opened.catch(() => {});
    for (const name of missing)
      this.#entries.set(name, {
        tail: new StreamTail(),
        opened,
        membersVersion: 0,
        epoch: 0,
        reading: null,
        joining: 0,
      });
    return new Map(
      names.map((name) => {
        const entry = this.#entries.get(name) as Entry;
        entry.joining += 1;
        return [name, entry];
      }),
    );
  }

  async #readPositions(names: string[]): Promise<void> {
    try {
      const heads = new Map((await readHeads(this.#db, names)).map((head) => [head.name, head]));
      for (const name of names) {
        const entry = this.#entries.get(name) as Entry;
        const { head, members_version } = heads.get(name) ?? { head: 0, members_version: 0 };
        entry.membersVersion = members_version;
        this.#take(name, entry, entry.tail.open(head));
      }
    } catch (error) {
      for (const name of names) this.#entries.delete(name);
      throw error;
    }
  }

  /** @returns null when the socket may not read the stream, or is gone; "full" when it has no room for it */
  async #joinOne(
    socket: ClientSocket,
    name: string,
    entry: Entry,
    { cursor, epoch, actor, page }: Start,
  ): Promise<Position | "full" | null> {
    let recovered = cursor !== null && cursor <= entry.tail.last;
    // Without a cursor there is nothing to send again: begin where the stream is now.
    let position = recovered ? (cursor as number) : entry.tail.last;
    let limit = FIRST_EVENTS;
    const mustAskAgain = () => entry.epoch !== epoch || socket.data.actor !== actor;

    for (;;) {
      if (socket.disconnected) return null;
      if (mustAskAgain()) {
        epoch = entry.epoch;
        actor = socket.data.actor;
        if (!(await readableStreams(this.#db, actor, [name])).has(name)) return null;
      } else if (!recovered || position === entry.tail.last) {
        // Its own room is one more.
        if (socket.rooms.size > MAX_STREAMS && !socket.rooms.has(name)) return "full";
        void socket.join(name);
        return { seq: entry.tail.last, recovered };
      } else {
        const span = { stream: name, after: position, upTo: entry.tail.last, limit };
        const events = page ?? (await readLog(this.#db, span));
        page = undefined;
        if (mustAskAgain()) continue;
        recovered = events[0]?.seq === position + 1;
        if (!recovered) continue;
        const before = sentBytes(socket.conn);
        for (const event of events) socket.emit(event.type, event);
        position += events.length;
        const each = Math.max(1, (sentBytes(socket.conn) - before) / events.length);
        limit = Math.max(1, Math.min(PAGE, Math.floor(PAGE_BYTES / each)));
        if (!(await drained(socket))) return null;
      }
    }
  }

  /**
   * Brings tails to where the database is now: a cursor that is ahead of one comes from a node that was faster, or it
   * can't be right. @throws Problem database-unavailable
   */
  async #catchUp(behind: [name: string, entry: Entry][]): Promise<void> {
    if (behind.length === 0) return;
    const entries = new Map(behind);
    for (const { name, head } of await readHeads(this.#db, [...entries.keys()])) {
      const entry = entries.get(name) as Entry;
      this.#take(name, entry, entry.tail.headIs(head));
      await entry.reading;
      if (entry.tail.last < head) throw new Problem("database-unavailable");
    }
  }

  /** Does what a tail says, and reads the log as long as it asks. */
  #take(name: string, entry: Entry, step: Step): void {
    this.#deliver(name, entry, step);
    if (step.read !== null) entry.reading = this.#read(name, entry, step.read);
  }

  /** A failed read is tried again by the beat. */
  async #read(name: string, entry: Entry, read: NonNullable<Step["read"]>): Promise<void> {
    try {
      for (let next: Step["read"] = read; next !== null;) {
        const step = entry.tail.loaded(await readLog(this.#db, { stream: name, ...next, limit: TAIL_PAGE }));
        this.#deliver(name, entry, step);
        next = step.read;
      }
    } catch (error) {
      entry.tail.failed();
      this.#log.warn(`reading the log of ${name} failed, the next beat tries again`, error);
    }
  }

  #deliver(name: string, entry: Entry, { deliver, lost }: Step): void {
    if (lost)
      this.#io.local
        .to(name)
        .emit("ready", { streams: { [name]: { seq: entry.tail.last, recovered: false } } });
    for (const event of deliver) {
      if (movesAccess(event)) this.#beforeAccessChange(name, entry, event);
      this.#io.local.to(name).emit(event.type, event);
      if (isEvent(event, projectEvents.project_deleted))
        this.#listeners(name).forEach((socket) => this.close(socket, name));
      if (isEvent(event, memberEvents.member_added) || isEvent(event, projectEvents.project_restored))
        this.#follow(name, projectStream(event.data.project.id));
    }
    if (deliver.length > 0) this.#listeners(name).filter(isTooSlow).forEach(cutOff);
  }

  /** Who is removed from a project hears of it on their own stream, and nothing more on the project's. */
  #beforeAccessChange(name: string, entry: Entry, event: LoggedEvent): void {
    entry.epoch += 1;
    if (!isEvent(event, memberEvents.member_removed)) return;
    const { project, member } = event.data;
    if (event.stream !== projectStream(project.id)) return;
    for (const socket of this.#listeners(name))
      if (socket.data.actor.id === member.user_id && socket.data.actor.role === "user")
        this.close(socket, name);
  }

  /** The sockets of a new member that follow their user get the project's stream; so do all members of one that is back. */
  #follow(name: string, stream: string): void {
    if (name === stream) return;
    for (const socket of this.#listeners(name)) {
      if (!socket.data.follows || socket.rooms.has(stream)) continue;
      this.join(socket, new Map([[stream, null]]))
        .then(({ positions, leftOut }) => {
          socket.data.leftOut += leftOut;
          if (positions.size + leftOut > 0) this.ready(socket, positions);
        })
        .catch((error: unknown) => {
          this.#log.warn(`${stream} could not be joined by a new member: they connect again`, error);
          letGo(socket);
        });
    }
  }

  /** Access to a stream changed: who of the listeners may still read it? */
  async #recheck({ name, members_version }: StreamHead, entry: Entry): Promise<void> {
    entry.epoch += 1;
    const actors = new Map(this.#listeners(name).map(({ data }) => [data.actor.id, data.actor]));
    const readers = await readersOf(this.#db, name, [...actors.values()]);
    for (const socket of this.#listeners(name))
      if (actors.has(socket.data.actor.id) && !readers.has(socket.data.actor.id)) this.close(socket, name);
    entry.membersVersion = members_version;
  }

  #listeners(name: string): ClientSocket[] {
    const { adapter, sockets } = this.#io.of("/");
    return [...(adapter.rooms.get(name) ?? [])].flatMap((id) => sockets.get(id) ?? []);
  }
}
