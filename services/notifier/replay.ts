import { Problem } from "../../core/errors.ts";
import type { LoggedEvent, Position } from "../../core/events.ts";
import type { Actor } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { readLog } from "../../mixins/event-log.queries.ts";
import { movesAccess } from "../events.ts";
import { MAX_STREAMS } from "./handshake.ts";
import { readableStreams } from "./notifier.queries.ts";
import { packetOf, queue } from "./frames.ts";
import type { Rooms } from "./rooms.ts";
import { drained } from "./slow-client.ts";
import type { ClientSocket } from "./sockets.ts";
import type { Entry } from "./tails.ts";

/** Events that one read of the log returns at most. */
const PAGE_EVENTS = 200;
/** Bytes that a replay sends before it waits for the client to read, about. */
const PAGE_BYTES = 1_000_000;
/** Streams that share the first read of a replay, and the events that it reads of each: most short absences end there. */
export const JOINED_STREAMS = 50;
export const FIRST_EVENTS = PAGE_EVENTS / JOINED_STREAMS;

/** How a socket came into a stream. */
export interface Place {
  /** Everything after the cursor was sent. */
  recovered: boolean;
}

/** The start of a join of one stream. */
export interface Start {
  cursor: Position;
  /** Of the entry, before the socket's access was read. */
  epoch: number;
  /** The socket's actor when the access was read. */
  actor: Actor;
  /** The events after the cursor, if they were read with those of other streams; null if the log does not go on from it. */
  page?: LoggedEvent[] | null | undefined;
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
 * @returns null when the socket may not read the stream, or is gone; "lost" when the log does not go on from the cursor
 * @throws Problem database-unavailable
 */
export async function replay(
  db: Queryable,
  rooms: Rooms,
  socket: ClientSocket,
  name: string,
  entry: Entry,
  { cursor, epoch, actor, page }: Start,
): Promise<Place | "full" | "lost" | null> {
  const { tail } = entry;
  let position = cursor;
  let limit = FIRST_EVENTS;
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
    } else {
      const span = { stream: name, after: position, upTo: tail.last.seq };
      const events = page === undefined ? await readLog(db, { ...span, limit }) : page;
      page = undefined;
      const last = events?.at(-1);
      if (events === null || last === undefined) return "lost";
      // After a restore the log may have a loss of access here that the tail has not seen.
      if (events.some(movesAccess) && !(await readableStreams(db, actor, [name])).has(name)) return null;
      if (mustCheckAccess()) continue;
      let bytes = 0;
      for (const event of events) {
        const packet = packetOf(event.type, event);
        bytes += packet.length;
        queue(socket.conn, packet);
      }
      position = { seq: last.seq, id: last.id };
      const bytesEach = Math.max(1, bytes / events.length);
      limit = Math.max(1, Math.min(PAGE_EVENTS, Math.floor(PAGE_BYTES / bytesEach)));
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
