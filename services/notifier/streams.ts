/**
 * The streams that sockets of this node listen to. Each has a tail (tails.ts), which decides what is sent, and a room
 * (rooms.ts), to which it is sent. joins.ts brings sockets into the rooms; here is what follows from the events.
 *
 * A socket that follows its user gains the streams that the user's own stream tells of. While it connects, it is told of
 * new memberships from before its memberships are read.
 *
 * Nothing leaks. A join checks access. An event that ends a user's access takes the user's sockets out of the room before
 * it is sent. The beat compares `members_version` and checks access again when an event that this node has not seen has
 * changed it, and a tail that goes on in another history checks it before anything of that history is sent. A join that
 * overlaps any of these (`epoch`) checks again.
 */
import { problemDocument } from "../../core/errors.ts";
import { type CommittedEvent, isEvent, type LoggedEvent, type Position } from "../../core/events.ts";
import type { Log } from "../../core/log.ts";
import { describeSpan, traced } from "../../core/trace.ts";
import type { Database } from "../../mixins/database.ts";
import { type CommittedHint, eventsOf, projectStream, userStream } from "../../mixins/event-log.ts";
import type { StreamHead } from "../../mixins/event-log.queries.ts";
import { movesAccess } from "../events.ts";
import { memberEvents, projectEvents } from "../projects/projects.contract.ts";
import { tell } from "./frames.ts";
import { type Handshake, MAX_STREAMS } from "./handshake.ts";
import { type Joined, Joins } from "./joins.ts";
import { type TailMetrics, UNMEASURED } from "./notifier-metrics.ts";
import type { StreamPosition } from "./notifier.contract.ts";
import {
  type Memberships,
  ownStream,
  projectStreams,
  readableStreams,
  readersOf,
} from "./notifier.queries.ts";
import type { Place } from "./replay.ts";
import { Rooms } from "./rooms.ts";
import { closeConnection } from "./slow-client.ts";
import type { ClientSocket } from "./sockets.ts";
import type { Step } from "./stream-tail.ts";
import { type Entry, Tails } from "./tails.ts";

/** Whether a socket follows its user by a token that does not reach the user's own stream. */
const mustStayOutside = ({ data, disconnected }: ClientSocket): boolean =>
  data.follows && ownStream(data.actor) === null && !disconnected;

/**
 * The streams of a socket that names none: its user's own, those of the user's projects, and those that its client has
 * cursors for. A stream that the user lost while the client was away is among the last, and is closed.
 */
function usualStreams(
  { data }: ClientSocket,
  { names, leftOut }: Memberships,
  resumed: Iterable<string>,
): string[] {
  data.leftOut += leftOut;
  const own = ownStream(data.actor);
  const usual = new Set(own === null ? names : [own, ...names]);
  const others = [...resumed].filter((name) => !usual.has(name));
  return [...usual, ...others.slice(0, MAX_STREAMS - usual.size)];
}

export class Streams {
  readonly #tails: Tails;
  readonly #joins: Joins;
  /**
   * Sockets that follow a user without being in the room of the user's own stream, by that stream: those that are
   * connecting, and those whose token is limited to projects.
   */
  readonly #outside = new Map<string, Set<ClientSocket>>();
  readonly #rooms: Rooms;
  readonly #db: Database;
  readonly #log: Log<"warn">;
  /** Called before this node begins to follow a stream: it has to hear hints from then on. */
  onFollow = (): void => {};

  constructor(db: Database, log: Log<"warn">, metrics: TailMetrics = UNMEASURED, rooms = new Rooms()) {
    this.#tails = new Tails(db, log, metrics, {
      deliver: (name, entry, step) => this.#deliver(name, entry, step),
      flush: () => rooms.flush(),
      follow: () => this.onFollow(),
      recheck: (head, entry) => this.#recheck(head, entry),
    });
    this.#joins = new Joins(db, this.#tails, rooms);
    this.#rooms = rooms;
    rooms.onEmpty = (name) => this.#tails.mayBeUnused(name);
    this.#db = db;
    this.#log = log;
  }

  /** How many streams this node follows. */
  get followed(): number {
    return this.#tails.size;
  }

  /** How many of them know of events which are not sent yet. */
  get behind(): number {
    return this.#tails.behind;
  }

  /** A hint of events that were committed; it is parsed only if somebody here listens. */
  hear(hint: CommittedHint): void {
    if (hint.streams.some((name) => this.#tails.get(name) !== undefined)) this.offer(eventsOf(hint));
  }

  /** Events that were committed. */
  offer(events: CommittedEvent[]): void {
    this.#tails.offer(events);
  }

  /** Calls `onMove` when a stream moves beyond a position (tails.ts). @returns how to stop that */
  watch(positions: Map<string, Position>, onMove: () => void): Promise<() => void> {
    return this.#tails.watch(positions, onMove);
  }

  /**
   * Gives a socket the streams that its handshake asks for, then says `ready` (docs/reference.md, Connecting).
   * @param onWanted gets the number of streams that the socket is about to join
   * @throws Problem database-unavailable
   */
  connect(
    socket: ClientSocket,
    { streams, cursors }: Handshake,
    onWanted: (count: number) => void = () => {},
  ): Promise<void> {
    return this.#joins.inTurn(socket, async () => {
      const joinAll = async (names: string[]): Promise<void> => {
        onWanted(names.length);
        const wanted = new Map(names.map((name) => [name, cursors.get(name) ?? null]));
        await this.#joins.join(socket, wanted, ({ places, unreadable, leftOut }) => {
          socket.data.leftOut += leftOut;
          for (const name of unreadable) this.close(socket, name);
          this.ready(socket, places);
        });
      };
      if (streams !== null) return joinAll(streams);
      const own = userStream(socket.data.actor.id);
      await this.#tails.whenOpen([own]);
      const memberships = this.#memberships(socket);
      // It is awaited below, if nothing else fails first.
      memberships.catch(() => {});
      // From here on the own stream's tail tells of new memberships: those that commit before are among those read here.
      const release = await this.#follow(socket, own, async () => new Map([[own, (await memberships).own]]));
      try {
        await joinAll(usualStreams(socket, await memberships, cursors.keys()));
      } finally {
        if (mustStayOutside(socket)) socket.once("disconnect", release);
        else release();
      }
    });
  }

  #memberships(socket: ClientSocket): Promise<Memberships> {
    return projectStreams(this.#db, socket.data.actor, MAX_STREAMS - 1);
  }

  /**
   * Has a socket outside of its user's own stream gain what that tells from now on.
   * @param read where the own stream is, if it is new here
   * @returns how to stop that
   */
  async #follow(socket: ClientSocket, own: string, read = this.#tails.heads): Promise<() => void> {
    const entries = this.#tails.hold([own], read);
    const sockets = this.#outside.get(own) ?? new Set<ClientSocket>();
    this.#outside.set(own, sockets.add(socket));
    const release = (): void => {
      this.#tails.release(entries.values());
      sockets.delete(socket);
      if (sockets.size === 0) this.#outside.delete(own);
    };
    try {
      await entries.get(own)?.opened;
      return release;
    } catch (error) {
      release();
      throw error;
    }
  }

  /**
   * Joins a socket to those streams that its user may read and that it has room for, each from its cursor on.
   * @param announce runs in the tick in which the last streams are joined; not at all for a socket that is gone
   * @throws Problem database-unavailable
   */
  join(
    socket: ClientSocket,
    wanted: Map<string, Position | null>,
    announce: (joined: Joined) => void,
  ): Promise<void> {
    return this.#joins.inTurn(socket, () => this.#joins.join(socket, wanted, announce));
  }

  /**
   * Where a socket's joined streams are now, after the events that followed the joins: the socket has been sent these when
   * this returns. Streams closed since are left out.
   */
  positions(socket: ClientSocket, places: Map<string, Place>): Record<string, StreamPosition> {
    const positions: Record<string, StreamPosition> = {};
    for (const [name, { recovered }] of places) {
      const entry = this.#tails.get(name);
      if (entry === undefined || !socket.data.streams.has(name)) continue;
      this.#rooms.settle(socket, name);
      positions[name] = { ...entry.tail.last, recovered };
    }
    return positions;
  }

  /** Tells a client that these streams are live, and how many streams its socket has no room for. */
  ready(socket: ClientSocket, places: Map<string, Place>): void {
    const { leftOut } = socket.data;
    tell(socket.conn, "ready", {
      streams: this.positions(socket, places),
      ...(leftOut > 0 && { left_out: leftOut }),
    });
  }

  /** Takes a socket out of a stream: it gets nothing of the stream any more. */
  leave(socket: ClientSocket, name: string): Promise<void> {
    return this.#joins.inTurn(socket, async () => this.#rooms.leave(socket, name));
  }

  /** A socket is gone. */
  forget(socket: ClientSocket): void {
    this.#rooms.leaveAll(socket);
  }

  /**
   * Closes those streams of a socket that its new token does not reach. A join under way checks access again by itself.
   * @throws Problem database-unavailable; the connection is closed then, because the socket might keep a stream too many
   */
  async renewed(socket: ClientSocket): Promise<void> {
    const { streams } = socket.data;
    const names = [...streams];
    const own = userStream(socket.data.actor.id);
    try {
      if (mustStayOutside(socket) && this.#outside.get(own)?.has(socket) !== true) {
        const release = await this.#follow(socket, own);
        if (socket.disconnected) release();
        else socket.once("disconnect", release);
      }
      const readable = await readableStreams(this.#db, socket.data.actor, names);
      for (const name of names) if (!readable.has(name) && streams.has(name)) this.close(socket, name);
    } catch (error) {
      closeConnection(socket);
      throw error;
    }
  }

  /** Closes a stream for a socket whose user may not read it any more, and tells the client. */
  close(socket: ClientSocket, name: string): void {
    this.#rooms.leave(socket, name);
    tell(socket.conn, "stream_closed", {
      stream: name,
      problem: problemDocument("not-found", "You may not read this stream any more", {
        resource: { type: "stream", id: name },
      }),
    });
    // The reason may be out of date: a user who was added again since then gets the stream back.
    this.#gain(socket, async () => [name]);
  }

  /**
   * Run once a second: reads the events that no hint brought, checks access again where it has changed, and forgets streams
   * without listeners. It takes one query, one more for each thousand streams if anything was committed since the last
   * beats, and more only when something was missed.
   */
  async beat(): Promise<void> {
    this.#tails.prune((name) => this.#rooms.has(name));
    if (this.#tails.size > 0) await this.#tails.beat();
  }

  /** Hands what a tail says to the stream's room, which sends it at the next flush. */
  #deliver(name: string, entry: Entry, { deliver, lost }: Step): void {
    if (lost) {
      const position: StreamPosition = { ...entry.tail.last, recovered: false };
      this.#rooms.restart(name, position.seq);
      for (const { conn } of this.#rooms.of(name)) tell(conn, "ready", { streams: { [name]: position } });
      for (const socket of [...this.#rooms.of(name), ...(this.#outside.get(name) ?? [])])
        if (name === userStream(socket.data.actor.id)) this.#followAll(socket);
    }
    if (deliver.length > 0)
      traced("deliver", "producer", { stream: name, events: deliver.length }, () =>
        this.#emit(name, entry, deliver),
      );
  }

  #emit(name: string, entry: Entry, events: LoggedEvent[]): void {
    describeSpan({ sockets: this.#rooms.size(name) });
    for (const event of events) {
      if (movesAccess(event)) this.#beforeAccessChange(name, entry, event);
      this.#rooms.push(name, event);
      if (isEvent(event, projectEvents.project_deleted)) this.#closeAll(name);
      if (isEvent(event, memberEvents.member_added) || isEvent(event, projectEvents.project_restored))
        this.#tellFollowers(name, projectStream(event.data.project.id));
    }
  }

  /** Closes a stream for all of its sockets, in this tick: nothing that is committed later reaches them. */
  #closeAll(name: string): void {
    this.#rooms.settleAll(name);
    for (const socket of this.#rooms.of(name)) this.close(socket, name);
  }

  /** A removed member's sockets leave the project's stream before the event: it reaches them on the user's own stream. */
  #beforeAccessChange(name: string, entry: Entry, event: LoggedEvent): void {
    entry.epoch += 1;
    if (!isEvent(event, memberEvents.member_removed)) return;
    const { project, member } = event.data;
    if (event.stream !== projectStream(project.id)) return;
    for (const socket of this.#rooms.of(name)) {
      if (socket.data.actor.id !== member.user_id || socket.data.actor.role !== "user") continue;
      this.#rooms.settle(socket, name);
      this.close(socket, name);
    }
  }

  /** A project's stream goes to sockets of a new member, and of each member of a restored project. */
  #tellFollowers(name: string, stream: string): void {
    if (name === stream) return;
    for (const socket of [...this.#rooms.of(name), ...(this.#outside.get(name) ?? [])])
      this.#gain(socket, async () => [stream]);
  }

  /** Reads a user's memberships again, after the stream that carries their changes has lost its place. */
  #followAll(socket: ClientSocket): void {
    this.#gain(socket, async () => (await this.#memberships(socket)).names);
  }

  /**
   * Brings the tail of a user's own stream to what was read of the user's memberships. If Postgres loses their commits
   * later, that tail loses its place, and the memberships are read again.
   * @throws Problem database-unavailable
   */
  async #settle(socket: ClientSocket): Promise<void> {
    const own = userStream(socket.data.actor.id);
    const entry = this.#tails.get(own);
    if (entry !== undefined)
      await this.#tails.catchUp(new Map([[own, entry]]), await this.#tails.heads([own]));
  }

  /** Gives streams to a socket, if it follows its user and does not have them yet. */
  #gain(socket: ClientSocket, streams: () => Promise<string[]>): void {
    if (!socket.data.follows) return;
    this.#joins
      .inTurn(socket, async () => {
        if (socket.disconnected) return;
        const names = (await streams()).filter((name) => !socket.data.streams.has(name));
        const wanted = new Map(names.map((name) => [name, null]));
        await this.#joins.join(socket, wanted, ({ places, leftOut }) => {
          socket.data.leftOut += leftOut;
          if (places.size + leftOut > 0) this.ready(socket, places);
        });
        await this.#settle(socket);
      })
      .catch((error: unknown) => {
        this.#log.warn(`socket ${socket.id} could not join what its user gained: it connects again`, error);
        closeConnection(socket);
      });
  }

  /** Closes a stream whose access has changed for those listeners who may not read it any more. */
  async #recheck({ name, members_version }: StreamHead, entry: Entry): Promise<void> {
    entry.epoch += 1;
    const actors = new Map(this.#rooms.of(name).map(({ data }) => [data.actor.id, data.actor]));
    const readers = await readersOf(this.#db, name, [...actors.values()]);
    for (const socket of this.#rooms.of(name)) {
      const { id } = socket.data.actor;
      if (actors.has(id) && !readers.has(id)) this.close(socket, name);
    }
    entry.membersVersion = members_version;
  }
}
