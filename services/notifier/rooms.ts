/**
 * The sockets that listen to each stream, and how its events reach them. A large room is written in turns: others have the
 * event loop between two of them, so that ten thousand sockets of one stream delay no event of another.
 *
 * A room knows of each socket which event it was sent last. So a socket gets the events that follow, each once and in order,
 * whatever happens between two turns: one that enters has what its replay brought, one that leaves gets nothing more, and an
 * event that comes meanwhile reaches the sockets that are left together with the one before it. What must find a socket up
 * to date settles it first.
 */
import type { LoggedEvent } from "../../core/events.ts";
import { type Frame, frameOf, send } from "./frames.ts";
import { isTooSlow, terminate } from "./slow-client.ts";
import type { ClientSocket } from "./sockets.ts";

/** Milliseconds of a turn, about, and how many sockets are written between two looks at the clock. */
const TURN_MS = 4;
const SOCKETS_PER_LOOK = 16;
/** Bytes of frames that may be pending in a room. Beyond them the room is written at once, however long that takes. */
const MAX_PENDING_BYTES = 4_000_000;

/** Frames that follow an event, for all sockets that were sent that event last. */
interface Batch {
  after: number;
  frames: Frame[];
  bytes: Buffer;
}

interface Room {
  /** All sockets of the room hold this one string. */
  readonly name: string;
  /** With the number of the last event that the socket was sent. */
  readonly sockets: Map<ClientSocket, number>;
  /** The number of the last event. */
  last: number;
  /** The last events, those among them that a socket has not been sent yet. Their numbers have no hole. */
  pending: Frame[];
  pendingBytes: number;
  batch: Batch | null;
  /** The pass under way: the sockets that are left, and the last event when it began. */
  pass: { left: MapIterator<[ClientSocket, number]>; upTo: number } | null;
}

export class Rooms {
  readonly #rooms = new Map<string, Room>();
  /** Rooms with events of which nothing was sent yet. */
  readonly #fresh = new Set<Room>();
  /** Rooms with a pass under way: the one that had a turn is the last. */
  readonly #busy = new Set<Room>();
  readonly #turnMs: number;
  /** When the turn is over that the flushes of this pass through the event loop share; null before the first of them. */
  #turnEnd: number | null = null;
  #isScheduled = false;

  /** Called with the name of a stream whose last socket has left. */
  onEmpty: (name: string) => void = () => {};

  /** @param turnMs milliseconds of a turn; 0 has one socket written in each */
  constructor(turnMs = TURN_MS) {
    this.#turnMs = turnMs;
  }

  has(name: string): boolean {
    return this.#rooms.has(name);
  }

  /** How many sockets are in a stream's room. */
  size(name: string): number {
    return this.#rooms.get(name)?.sockets.size ?? 0;
  }

  /** The sockets in a stream's room, as they are now. */
  of(name: string): ClientSocket[] {
    return [...(this.#rooms.get(name)?.sockets.keys() ?? [])];
  }

  /** @param seq number of the stream's last event, which the socket has or does not need */
  enter(socket: ClientSocket, name: string, seq: number): void {
    if (socket.disconnected) return;
    let room = this.#rooms.get(name);
    if (room === undefined) {
      room = { name, sockets: new Map(), last: seq, pending: [], pendingBytes: 0, batch: null, pass: null };
      this.#rooms.set(name, room);
    }
    if (!room.sockets.has(socket)) room.sockets.set(socket, seq);
    socket.data.streams.add(room.name);
  }

  /** Takes a socket out of a room: it gets nothing of the stream any more. */
  leave(socket: ClientSocket, name: string): void {
    socket.data.streams.delete(name);
    const room = this.#rooms.get(name);
    room?.sockets.delete(socket);
    if (room?.sockets.size !== 0) return;
    this.#rooms.delete(name);
    this.#fresh.delete(room);
    this.#busy.delete(room);
    this.onEmpty(name);
  }

  leaveAll(socket: ClientSocket): void {
    for (const name of socket.data.streams) this.leave(socket, name);
  }

  /** Adds a stream's next event to what its sockets are to get, by `flush` or in a later turn. */
  push(name: string, event: LoggedEvent): void {
    const room = this.#rooms.get(name);
    if (room === undefined) return;
    const frame = frameOf(event.type, event);
    room.pending.push(frame);
    room.pendingBytes += frame.bytes.length;
    room.last = event.seq;
    room.batch = null;
    if (!this.#busy.has(room)) this.#fresh.add(room);
    if (room.pendingBytes > MAX_PENDING_BYTES) this.settleAll(name);
  }

  /** Sends what was added, a socket's events of one stream in one write. Some hundred sockets are written now. */
  flush(): void {
    if (this.#fresh.size === 0) return;
    let isOver = this.#isOver();
    const end = (this.#turnEnd ??= performance.now() + this.#turnMs);
    for (const room of this.#fresh) {
      this.#busy.add(room);
      if (!isOver) this.#turn(room, end);
      isOver = performance.now() >= end;
    }
    this.#fresh.clear();
    this.#schedule();
  }

  /** Sends a socket at once what is pending for it. */
  settle(socket: ClientSocket, name: string): void {
    const room = this.#rooms.get(name);
    const seq = room?.sockets.get(socket);
    if (room !== undefined && seq !== undefined) this.#write(room, socket, seq);
  }

  /** Sends all sockets of a room at once what is pending for them. */
  settleAll(name: string): void {
    const room = this.#rooms.get(name);
    if (room === undefined || room.pending.length === 0) return;
    for (const [socket, seq] of room.sockets) this.#write(room, socket, seq);
    this.#end(room, room.last);
  }

  /** Goes on at another place, in another history. The caller tells the sockets, so what is pending is not sent any more. */
  restart(name: string, seq: number): void {
    const room = this.#rooms.get(name);
    if (room === undefined) return;
    this.#end(room, room.last);
    room.last = seq;
    for (const socket of room.sockets.keys()) room.sockets.set(socket, seq);
  }

  /** Goes on with a room's pass until its time is over. */
  #turn(room: Room, end: number): void {
    room.pass ??= { left: room.sockets.entries(), upTo: room.last };
    const { left, upTo } = room.pass;
    for (let written = 0; ;) {
      const { value, done } = left.next();
      if (done === true) return this.#end(room, upTo);
      const [socket, seq] = value;
      if (seq >= room.last) continue;
      this.#write(room, socket, seq);
      written += 1;
      const mustLook = this.#turnMs === 0 || written % SOCKETS_PER_LOOK === 0;
      if (mustLook && performance.now() >= end) return;
    }
  }

  /** All sockets were sent the events up to a number. */
  #end(room: Room, upTo: number): void {
    room.pass = null;
    // The numbers have no hole, so so many events are left.
    const sent = room.pending.splice(0, room.pending.length - (room.last - upTo));
    for (const { bytes } of sent) room.pendingBytes -= bytes.length;
    room.batch = null;
    if (room.pending.length > 0) return;
    this.#fresh.delete(room);
    this.#busy.delete(room);
  }

  #write(room: Room, socket: ClientSocket, seq: number): void {
    if (seq >= room.last) return;
    const { frames, bytes } = this.#batchAfter(room, seq);
    room.sockets.set(socket, room.last);
    send(socket.conn, frames, bytes);
    if (isTooSlow(socket)) terminate(socket, "slow reader");
  }

  #batchAfter(room: Room, seq: number): Batch {
    if (room.batch?.after === seq) return room.batch;
    const frames = room.pending.slice(room.pending.length - (room.last - seq));
    const [first] = frames;
    const bytes =
      frames.length === 1 && first !== undefined
        ? first.bytes
        : Buffer.concat(frames.map(({ bytes }) => bytes));
    return (room.batch = { after: seq, frames, bytes });
  }

  #isOver(): boolean {
    return this.#turnEnd !== null && performance.now() >= this.#turnEnd;
  }

  /** Gives the rooms under way their turns, as long as there are any: one in each pass through the event loop. */
  #schedule(): void {
    if (this.#isScheduled || (this.#busy.size === 0 && this.#turnEnd === null)) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      const isOver = this.#isOver();
      this.#turnEnd = null;
      if (!isOver) this.#writeBusy(performance.now() + this.#turnMs);
      this.#schedule();
    });
  }

  #writeBusy(end: number): void {
    for (const room of [...this.#busy]) {
      if (!this.#busy.delete(room)) continue;
      this.#busy.add(room);
      this.#turn(room, end);
      if (performance.now() >= end) return;
    }
  }
}
