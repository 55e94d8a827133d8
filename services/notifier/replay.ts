import { Problem } from "../../core/errors.ts";
import type { LoggedEvent, Position } from "../../core/events.ts";
import type { Actor } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { movesAccess } from "../events.ts";
import { MAX_STREAMS } from "./handshake.ts";
import { readableStreams } from "./notifier.queries.ts";
import { frameOf, openConnection, queue, writePast, writeTogether } from "./frames.ts";
import type { Rooms } from "./rooms.ts";
import { drained } from "./slow-client.ts";
import type { ClientSocket } from "./sockets.ts";
import type { Entry } from "./tails.ts";

/** Streams that share the reads of a replay, and the events that the first one reads of each: most short absences end there. */
export const JOINED_STREAMS = 50;
export const FIRST_EVENTS = 4;
/** Bytes of a page that need not wait in engine.io's list, and bytes that may wait for the connection meanwhile. */
const [SHORT_BYTES, FEW_BYTES] = [16_000, 64_000];

/** How a socket came into a stream. */
export interface Place {
  /** Everything after the cursor was sent. */
  recovered: boolean;
}

/** Where the replay of one stream is. */
export interface Progress {
  cursor: Position;
  /** Of the entry, before the socket's access was read. */
  epoch: number;
  /** The socket's actor when the access was read. */
  actor: Actor;
}

/**
 * Sends the events of a page. A short one leaves by one write with what follows in this turn of the event loop; a long one
 * goes through engine.io's list, whose end `drained` waits for, and so does each page of a client that does not read.
 */
function sendPage({ conn }: ClientSocket, events: LoggedEvent[]): void {
  const frames = events.map((event) => frameOf(event.type, event));
  const bytes = Buffer.concat(frames.map(({ bytes }) => bytes));
  const connection = bytes.length > SHORT_BYTES ? null : openConnection(conn);
  if (connection === null || connection.writableLength > FEW_BYTES)
    for (const { packet } of frames) queue(conn, packet);
  else {
    writeTogether(connection);
    writePast(conn, connection, bytes);
  }
}

/** Lets a socket into a stream's room, where the tail is, unless it has no room for the stream. */
export function enter(
  rooms: Rooms,
  socket: ClientSocket,
  name: string,
  { tail }: Entry,
  recovered: boolean,
): Place | "full" {
  const { streams } = socket.data;
  if (streams.size >= MAX_STREAMS && !streams.has(name)) return "full";
  rooms.enter(socket, name, tail.last.seq);
  return { recovered };
}

/**
 * Sends a socket what follows its cursor, and lets it into the stream's room in the tick in which it has reached the tail.
 * @param page the next events after the cursor; null if the log does not go on from it; undefined if nothing was read
 * @returns null when the socket may not read the stream, or is gone; "lost" when the log does not go on from the cursor; how
 *   far it came when it needs another page
 * @throws Problem database-unavailable
 */
export async function replay(
  db: Queryable,
  rooms: Rooms,
  socket: ClientSocket,
  name: string,
  entry: Entry,
  { cursor, epoch, actor }: Progress,
  page: LoggedEvent[] | null | undefined,
): Promise<Place | Progress | "full" | "lost" | null> {
  const { tail } = entry;
  let position = cursor;
  const mustCheckAccess = () => entry.epoch !== epoch || socket.data.actor !== actor;

  for (;;) {
    if (socket.disconnected) return null;
    if (mustCheckAccess()) {
      epoch = entry.epoch;
      actor = socket.data.actor;
      if (!(await readableStreams(db, actor, [name])).has(name)) return null;
    } else if (tail.state === "rewritten") {
      await located(entry);
    } else if (position.seq >= tail.last.seq) {
      return isAt(tail.last, position) ? enter(rooms, socket, name, entry, true) : "lost";
    } else if (page === undefined) {
      return { cursor: position, epoch, actor };
    } else {
      const events = page;
      page = undefined;
      const last = events?.at(-1);
      if (events === null || last === undefined) return "lost";
      // After a restore the log may have a loss of access here that the tail has not seen.
      if (events.some(movesAccess) && !(await readableStreams(db, actor, [name])).has(name)) return null;
      if (mustCheckAccess()) continue;
      sendPage(socket, events);
      position = { seq: last.seq, id: last.id };
      if (!(await drained(socket))) return null;
    }
  }
}

/** Waits until a rewritten stream is located. @throws Problem database-unavailable */
export async function located({ tail, reading }: Entry): Promise<void> {
  await reading;
  if (tail.state === "rewritten") throw new Problem("database-unavailable");
}

/** Whether two positions are the same, as far as both ids are known. */
export const isAt = (last: Position, { seq, id }: Position): boolean =>
  seq === last.seq && (id === null || last.id === null || id === last.id);
