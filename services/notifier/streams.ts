/**
 * The streams that somebody on this node listens to. Each has a tail (stream-tail.ts), which decides what is sent, and
 * a socket.io room, to which it is sent. A socket is in the room from the moment on from which it gets the live events:
 * it joins in the tick in which its replay has reached the tail, so that there is neither hole nor repeat between them.
 *
 * A join is a schedule, not a moment: between two answers of the database anything may commit. So the joins of one socket
 * take turns; a socket that follows its user joins the user's own stream before its memberships are read; and a read of
 * the log belongs to the entry that began it.
 *
 * Nothing leaks: who may read is asked when a socket joins; an event that takes somebody's access away takes their
 * sockets out of the room before it is sent; and the beat, which compares `members_version`, asks again when an access
 * was changed by an event that this node has not seen yet. A join that overlaps any of these (`epoch`) asks again.
 */
import { setImmediate } from "node:timers/promises";
import { Problem, problemDocument } from "../../core/errors.ts";
import { type CommittedEvent, isEvent, type LoggedEvent, type Position } from "../../core/events.ts";
import type { Actor } from "../../core/kit.ts";
import type { Log } from "../../core/log.ts";
import type { Database } from "../../mixins/database.ts";
import { projectStream } from "../../mixins/event-log.ts";
import { readHeads, readLog, readLogs, type StreamHead } from "../../mixins/event-log.queries.ts";
import { movesAccess } from "../events.ts";
import { memberEvents, projectEvents } from "../projects/projects.contract.ts";
import { type Handshake, MAX_STREAMS } from "./handshake.ts";
import { ownStream, projectStreams, readableStreams, readersOf } from "./notifier.queries.ts";
import { closeConnection, drained, isTooSlow, sentBytes, terminate } from "./slow-client.ts";
import type { ClientSocket, PushServer } from "./sockets.ts";
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

/** Of an entry whose access is to be asked for by the next beat. */
const UNKNOWN_VERSION = -1;

/** How a socket's join of a stream ended. */
interface Place {
  /** Everything after its cursor was sent. */
  recovered: boolean;
  /** Of the entry, when the socket joined. */
  losses: number;
}

export interface Joined {
  /** The streams that were joined. */
  places: Map<string, Place>;
  /** Streams that may not be read. */
  unreadable: string[];
  /** Streams that the socket has no room for. */
  leftOut: number;
}

/** Where a client's stream is, as `ready` and the acknowledgement of `subscribe` tell it. */
export interface StreamPosition extends Position {
  recovered: boolean;
}

/** What a socket's join of one stream begins with. */
interface Start {
  cursor: Position | null;
  /** Of the entry, as it was before the socket's access was read. */
  epoch: number;
  /** Who the socket spoke for, when its access was read. */
  actor: Actor;
  /** What follows the cursor, where it was read along with other streams'; null where the log does not go on from there. */
  page?: LoggedEvent[] | null | undefined;
}

interface Entry {
  tail: StreamTail;
  opened: Promise<void>;
  /** As last seen in the database. */
  membersVersion: number;
  /** Moves with each change of access that this node learns of. */
  epoch: number;
  /** How often the tail lost its place, and began at another. */
  losses: number;
  /** The read of the log that is under way; it never rejects. */
  reading: Promise<void> | null;
  /** Joins under way: they keep the entry though its room is empty. */
  joining: number;
}

export class Streams {
  readonly #entries = new Map<string, Entry>();
  /** The last of a socket's joins: the next one begins when it has ended. */
  readonly #turns = new WeakMap<ClientSocket, Promise<unknown>>();
  /** Which of all joins brought a socket into a stream: what was read before it says nothing of it. */
  readonly #joins = new WeakMap<ClientSocket, Map<string, number>>();
  #joined = 0;
  /**
   * Sockets whose memberships were read since the last beat. Should Postgres lose its end now, no tail may have seen the
   * events that go with them: they are read once more.
   */
  readonly #unsettled = new Set<ClientSocket>();
  #interruptions = 0;
  readonly #db: Database;
  readonly #io: PushServer;
  readonly #log: Log<"warn">;

  constructor(db: Database, io: PushServer, log: Log<"warn">) {
    this.#db = db;
    this.#io = io;
    this.#log = log;
  }

  /** Hints from the broker. Streams that nobody here listens to are passed over. */
  offer(events: CommittedEvent[]): void {
    for (const event of events) {
      const entry = this.#entries.get(event.stream);
      if (entry !== undefined) this.#take(event.stream, entry, entry.tail.offer(event));
    }
  }

  /**
   * Gives a socket the streams that its handshake asks for, then says `ready` (docs/reference.md, Connecting).
   * @param onWanted is told how many streams the socket is about to join
   * @throws Problem database-unavailable
   */
  connect(
    socket: ClientSocket,
    { streams, cursors }: Handshake,
    onWanted: (count: number) => void = () => {},
  ): Promise<void> {
    return this.#inTurn(socket, async () => {
      const wanted = (names: string[]) => {
        onWanted(names.length);
        return new Map(names.map((name) => [name, cursors.get(name) ?? null]));
      };
      const parts: Joined[] = [];
      if (streams === null) {
        const { actor } = socket.data;
        // First the stream that tells of new memberships: one that commits before the others are read is among them.
        const own = ownStream(actor);
        if (own !== null) parts.push(await this.#join(socket, wanted([own])));
        const { names, leftOut } = await projectStreams(this.#db, actor, MAX_STREAMS - 1);
        socket.data.leftOut += leftOut;
        parts.push(await this.#join(socket, wanted(names)));
        // The client was away when it lost these.
        const given = new Set(names);
        const former = [...cursors.keys()].filter((name) => name !== own && !given.has(name));
        if (former.length > 0) parts.push(await this.#unreadableOf(actor, former));
      } else parts.push(await this.#join(socket, wanted(streams)));
      for (const name of parts.flatMap(({ unreadable }) => unreadable)) this.close(socket, name);
      socket.data.leftOut += parts.reduce((sum, { leftOut }) => sum + leftOut, 0);
      this.ready(socket, new Map(parts.flatMap(({ places }) => [...places])));
    });
  }

  async #unreadableOf(actor: Actor, names: string[]): Promise<Joined> {
    const readable = await readableStreams(this.#db, actor, names);
    return { places: new Map(), unreadable: names.filter((name) => !readable.has(name)), leftOut: 0 };
  }

  /**
   * Joins a socket to streams: those it may read and has room for, each after its cursor where it has one.
   * @throws Problem database-unavailable
   */
  join(socket: ClientSocket, wanted: Map<string, Position | null>): Promise<Joined> {
    return this.#inTurn(socket, () => this.#join(socket, wanted));
  }

  /**
   * Runs a join after those of the same socket that began before. One that overlaps a loss of connections to Postgres may
   * have read of two histories: its socket is let go, and begins again.
   */
  #inTurn<Result>(socket: ClientSocket, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#turns.get(socket) ?? Promise.resolve()).then(async () => {
      const { interruptions } = this.#db;
      const result = await work();
      if (interruptions !== this.#db.interruptions) closeConnection(socket);
      else if (socket.data.follows) this.#unsettled.add(socket);
      return result;
    });
    // Whoever asked for it handles its failure.
    this.#turns.set(
      socket,
      turn.catch(() => {}),
    );
    return turn;
  }

  async #join(socket: ClientSocket, wanted: Map<string, Position | null>): Promise<Joined> {
    const joined: Joined = { places: new Map(), unreadable: [], leftOut: 0 };
    const entries = this.#open([...wanted.keys()]);
    try {
      for (const entry of entries.values()) await entry.opened;
      const epochs = new Map([...entries].map(([name, { epoch }]) => [name, epoch]));
      const { actor } = socket.data;
      const readable = await readableStreams(this.#db, actor, [...wanted.keys()]);
      const due = [...entries].filter(([name]) => readable.has(name));
      joined.unreadable = [...wanted.keys()].filter((name) => !readable.has(name));
      const cursorOf = (name: string): Position | null => wanted.get(name) ?? null;
      await this.#catchUp(due.filter(([name, { tail }]) => (cursorOf(name)?.seq ?? 0) > tail.last.seq));

      for (let at = 0; at < due.length; at += JOINED_AT_ONCE) {
        const batch = due.slice(at, at + JOINED_AT_ONCE);
        const spans = batch.flatMap(([stream, { tail }]) => {
          const after = cursorOf(stream);
          const isBehind = after !== null && after.seq < tail.last.seq;
          return isBehind ? [{ stream, after, upTo: tail.last.seq }] : [];
        });
        const pages = spans.length === 0 ? null : await readLogs(this.#db, spans, FIRST_EVENTS);
        for (const [name, entry] of batch) {
          const start = {
            cursor: cursorOf(name),
            epoch: epochs.get(name) as number,
            actor,
            page: pages?.get(name),
          };
          const place = await this.#joinOne(socket, name, entry, start);
          if (place === "full") joined.leftOut += 1;
          else if (place !== null) joined.places.set(name, place);
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

  /**
   * Where a socket's streams are at this moment: frames may have followed its joins. Without those that were closed
   * meanwhile.
   */
  positions(socket: ClientSocket, places: Map<string, Place>): Record<string, StreamPosition> {
    const positions: Record<string, StreamPosition> = {};
    for (const [name, { recovered, losses }] of places) {
      const entry = this.#entries.get(name);
      if (entry === undefined || !socket.rooms.has(name)) continue;
      positions[name] = { ...entry.tail.last, recovered: recovered && losses === entry.losses };
    }
    return positions;
  }

  /** Tells a client that these streams are live, and how many its socket has no room for, where there are any. */
  ready(socket: ClientSocket, places: Map<string, Place>): void {
    const { leftOut } = socket.data;
    socket.emit("ready", {
      streams: this.positions(socket, places),
      ...(leftOut > 0 && { left_out: leftOut }),
    });
  }

  /** Takes a socket out of a stream; nothing of it is sent to it after this. */
  leave(socket: ClientSocket, name: string): Promise<void> {
    return this.#inTurn(socket, async () => void (await socket.leave(name)));
  }

  /**
   * Closes the streams of a socket that its new token does not reach. A join under way asks again by itself.
   * @throws Problem database-unavailable; the socket is let go then, since it might have what it may not
   */
  async renewed(socket: ClientSocket): Promise<void> {
    const held = new Map([...socket.rooms].map((name) => [name, this.#joinOf(socket, name)]));
    held.delete(socket.id);
    try {
      const readable = await readableStreams(this.#db, socket.data.actor, [...held.keys()]);
      for (const [name, join] of held)
        if (!readable.has(name) && join === this.#joinOf(socket, name)) this.close(socket, name);
    } catch (error) {
      closeConnection(socket);
      throw error;
    }
  }

  /** Closes a stream for a socket whose user may not read it any more, and says so. */
  close(socket: ClientSocket, name: string): void {
    void socket.leave(name);
    this.#joins.get(socket)?.delete(name);
    socket.emit("stream_closed", {
      stream: name,
      problem: problemDocument("not-found", "You may not read this stream any more", {
        resource: { type: "stream", id: name },
      }),
    });
    // What closed it may be old: a user who was added again meanwhile gets the stream back.
    this.#gain(socket, async () => [name]);
  }

  /**
   * Once a second: reads what no hint told us, asks anew who may read where that changed, forgets streams without
   * listeners. One query, and more only where something was missed.
   */
  async beat(): Promise<void> {
    const rooms = this.#io.of("/").adapter.rooms;
    for (const [name, entry] of this.#entries)
      if (entry.joining === 0 && entry.tail.state !== "idle" && !rooms.has(name)) this.#entries.delete(name);
    if (this.#entries.size === 0) return this.#unsettled.clear();

    const { interruptions } = this.#db;
    const unsettled = [...this.#unsettled];
    if (interruptions !== this.#interruptions) unsettled.forEach((socket) => this.#followAll(socket));
    this.#interruptions = interruptions;
    const entries = [...this.#entries];
    const heads = await this.#readHeads(entries.map(([name]) => name));
    for (const [name, entry] of entries) {
      if (this.#entries.get(name) !== entry || entry.tail.state === "idle") continue;
      const head = heads.get(name) as StreamHead;
      if (head.members_version !== entry.membersVersion) await this.#recheck(head, entry);
      this.#headIs(name, entry, head);
    }
    if (interruptions === this.#db.interruptions)
      for (const socket of unsettled) this.#unsettled.delete(socket);
  }

  /** The heads of streams; those of streams without an event, too. */
  async #readHeads(names: string[]): Promise<Map<string, StreamHead>> {
    const none = names.map((name) => ({ name, head: 0, last_id: null, members_version: 0 }));
    const heads: StreamHead[] = [...none, ...(await readHeads(this.#db, names))];
    return new Map(heads.map((head) => [head.name, head]));
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
        losses: 0,
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
      for (const [name, head] of await this.#readHeads(names)) {
        const entry = this.#entries.get(name) as Entry;
        entry.membersVersion = head.members_version;
        this.#take(name, entry, entry.tail.headIs(positionOf(head)));
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
  ): Promise<Place | "full" | null> {
    const { tail } = entry;
    // Without a cursor there is nothing to send again: begin where the stream is now.
    let position = cursor;
    let limit = FIRST_EVENTS;
    const mustAskAgain = () => entry.epoch !== epoch || socket.data.actor !== actor;

    for (;;) {
      if (socket.disconnected) return null;
      if (mustAskAgain()) {
        epoch = entry.epoch;
        actor = socket.data.actor;
        if (!(await readableStreams(this.#db, actor, [name])).has(name)) return null;
      } else if (tail.state === "rewritten") {
        await entry.reading;
        // Its state is read here: another turn may have changed it.
        if ((tail.state as string) === "rewritten") throw new Problem("database-unavailable");
      } else if (position === null || position.seq >= tail.last.seq) {
        // Its own room is one more.
        if (socket.rooms.size > MAX_STREAMS && !socket.rooms.has(name)) return "full";
        void socket.join(name);
        this.#joins.set(
          socket,
          (this.#joins.get(socket) ?? new Map<string, number>()).set(name, ++this.#joined),
        );
        return { recovered: position !== null && isAt(tail.last, position), losses: entry.losses };
      } else {
        const span = { stream: name, after: position, upTo: tail.last.seq };
        const events = page === undefined ? await readLog(this.#db, { ...span, limit }) : page;
        page = undefined;
        if (mustAskAgain()) continue;
        const last = events?.at(-1);
        if (events === null || last === undefined) {
          position = null;
          continue;
        }
        const before = sentBytes(socket.conn);
        for (const event of events) socket.emit(event.type, event);
        position = { seq: last.seq, id: last.id };
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
    for (const [name, head] of await this.#readHeads([...entries.keys()])) {
      const entry = entries.get(name) as Entry;
      this.#headIs(name, entry, head);
      await entry.reading;
      if (entry.tail.last.seq < head.head) throw new Problem("database-unavailable");
    }
  }

  /** Tells a tail where its stream is, unless that is being read for it anyway. */
  #headIs(name: string, entry: Entry, head: StreamHead): void {
    if (entry.tail.state === "rewritten" && entry.reading !== null) return;
    this.#take(name, entry, entry.tail.headIs(positionOf(head)));
  }

  /** Does what a tail says, and reads the log as long as it asks. */
  #take(name: string, entry: Entry, step: Step): void {
    this.#deliver(name, entry, step);
    if (step.read === null && !step.locate) return;
    const reading = this.#read(name, entry, step).then(() => {
      if (entry.reading === reading) entry.reading = null;
    });
    entry.reading = reading;
  }

  /** A failed read is tried again by the beat. */
  async #read(name: string, entry: Entry, step: Step): Promise<void> {
    const { tail } = entry;
    try {
      while ((step.read !== null || step.locate) && this.#entries.get(name) === entry) {
        if (step.read !== null)
          step = tail.loaded(await readLog(this.#db, { stream: name, ...step.read, limit: TAIL_PAGE }));
        else {
          const heads = await this.#readHeads([name]);
          step = tail.headIs(positionOf(heads.get(name) as StreamHead));
        }
        this.#deliver(name, entry, step);
      }
    } catch (error) {
      tail.failed();
      this.#log.warn(`reading the log of ${name} failed, the next beat tries again`, error);
    }
  }

  /** Sends what a tail says, unless nobody listened any more and its entry was forgotten meanwhile. */
  #deliver(name: string, entry: Entry, { deliver, lost }: Step): void {
    if (this.#entries.get(name) !== entry) return;
    if (lost) {
      entry.losses += 1;
      // Memberships may be others, too: the next beat asks again who may read.
      entry.membersVersion = UNKNOWN_VERSION;
      const position: StreamPosition = { ...entry.tail.last, recovered: false };
      this.#io.local.to(name).emit("ready", { streams: { [name]: position } });
      for (const socket of this.#listeners(name))
        if (name === ownStream(socket.data.actor)) this.#followAll(socket);
    }
    for (const event of deliver) {
      if (movesAccess(event)) this.#beforeAccessChange(name, entry, event);
      this.#io.local.to(name).emit(event.type, event);
      if (isEvent(event, projectEvents.project_deleted))
        this.#listeners(name).forEach((socket) => this.close(socket, name));
      if (isEvent(event, memberEvents.member_added) || isEvent(event, projectEvents.project_restored))
        this.#follow(name, projectStream(event.data.project.id));
    }
    if (deliver.length > 0) this.#listeners(name).filter(isTooSlow).forEach(terminate);
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
    for (const socket of this.#listeners(name)) this.#gain(socket, async () => [stream]);
  }

  /** A user's own stream is another one now, and so may be the memberships that it tells. */
  #followAll(socket: ClientSocket): void {
    this.#gain(
      socket,
      async () => (await projectStreams(this.#db, socket.data.actor, MAX_STREAMS - 1)).names,
    );
  }

  /** Gives a socket that follows its user the streams that it has not yet. */
  #gain(socket: ClientSocket, streams: () => Promise<string[]>): void {
    if (!socket.data.follows) return;
    this.#inTurn(socket, async () => {
      if (socket.disconnected) return;
      const names = (await streams()).filter((name) => !socket.rooms.has(name));
      if (names.length === 0) return;
      const { places, leftOut } = await this.#join(socket, new Map(names.map((name) => [name, null])));
      socket.data.leftOut += leftOut;
      if (places.size + leftOut > 0) this.ready(socket, places);
    }).catch((error: unknown) => {
      this.#log.warn(`socket ${socket.id} could not join what its user gained: it connects again`, error);
      closeConnection(socket);
    });
  }

  /** Access to a stream changed: who of the listeners may still read it? */
  async #recheck({ name, members_version }: StreamHead, entry: Entry): Promise<void> {
    entry.epoch += 1;
    const held = new Map(this.#listeners(name).map((socket) => [socket, this.#joinOf(socket, name)]));
    const actors = new Map([...held.keys()].map(({ data }) => [data.actor.id, data.actor]));
    const readers = await readersOf(this.#db, name, [...actors.values()]);
    for (const [socket, join] of held)
      if (!readers.has(socket.data.actor.id) && join === this.#joinOf(socket, name)) this.close(socket, name);
    entry.membersVersion = members_version;
  }

  #joinOf(socket: ClientSocket, name: string): number | undefined {
    return socket.rooms.has(name) ? this.#joins.get(socket)?.get(name) : undefined;
  }

  #listeners(name: string): ClientSocket[] {
    const { adapter, sockets } = this.#io.of("/");
    return [...(adapter.rooms.get(name) ?? [])].flatMap((id) => sockets.get(id) ?? []);
  }
}

const positionOf = ({ head, last_id }: StreamHead): Position => ({ seq: head, id: last_id });

/** Whether a place is another one's, as far as both ids are known. */
const isAt = (last: Position, { seq, id }: Position): boolean =>
  seq === last.seq && (id === null || last.id === null || id === last.id);
