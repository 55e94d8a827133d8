/**
 * The way of a socket into its streams. It enters a stream's room in the tick in which its replay has reached the tail
 * (replay.ts), so between replay and live events nothing is missing and nothing comes twice. Without a replay it enters in
 * the tick that tells the client where the stream is, so no event comes before that.
 *
 * A join is a schedule, not a moment: anything may commit between two answers of the database. So the joins of one socket
 * take turns, one that overlaps a change of access (`epoch`) checks access again, and tails are brought to where the access
 * was read, so that they notice if Postgres loses that.
 */
import { setImmediate } from "node:timers/promises";
import type { LoggedEvent, Position } from "../../core/events.ts";
import type { Actor } from "../../core/kit.ts";
import type { Database } from "../../mixins/database.ts";
import { readLogs, type Span } from "../../mixins/event-log.queries.ts";
import { batched } from "./batched.ts";
import { accessOf, readableStreams } from "./notifier.queries.ts";
import { enter, FIRST_EVENTS, JOINED_STREAMS, located, type Place, replay } from "./replay.ts";
import type { Rooms } from "./rooms.ts";
import { closeConnection } from "./slow-client.ts";
import type { ClientSocket } from "./sockets.ts";
import type { Entry, Tails } from "./tails.ts";

export interface Joined {
  places: Map<string, Place>;
  /** Streams that the user may not read. */
  unreadable: string[];
  /** Streams that the socket has no room for. */
  leftOut: number;
}

/** A stream without a replay: it waits for the tick that announces the join. */
interface Waiting {
  name: string;
  entry: Entry;
  /** Of the entry, before the socket's access was read. */
  epoch: number;
  /** The socket's actor when the access was read. */
  actor: Actor;
}

/** By stream; undefined where nothing was read, null where the log does not go on from the cursor. */
type Pages = Map<string, LoggedEvent[] | null | undefined>;

/** Events that one read brings of all streams of a join together, once it is clear that they are many. */
const PAGE_EVENTS = 1000;

/** Spans that one statement reads: most of them end after an event or two, and a statement reads a megabyte at most. */
const SPANS_AT_ONCE = 200;

/** Reads for many joins together. Sockets that were away for the same time ask for the same spans. */
async function readPages(db: Database, questions: Span[][]): Promise<Pages[]> {
  const keyOf = ({ stream, after, upTo }: Span): string => [stream, after.seq, after.id, upTo].join();
  const spans = new Map(questions.flat().map((span) => [keyOf(span), span]));
  const read = await readLogs(db, [...spans.values()], FIRST_EVENTS);
  const pages = new Map([...spans.keys()].map((key, nth) => [key, read[nth]]));
  return questions.map((own) => new Map(own.map((span) => [span.stream, pages.get(keyOf(span))])));
}

export class Joins {
  /** The last turn of each socket that has one. The next one begins when it has ended. */
  readonly #turns = new WeakMap<ClientSocket, Promise<unknown>>();
  readonly #db: Database;
  readonly #tails: Tails;
  readonly #rooms: Rooms;
  readonly #readPages: (spans: Span[]) => Promise<Pages>;

  constructor(db: Database, tails: Tails, rooms: Rooms) {
    this.#db = db;
    this.#tails = tails;
    this.#rooms = rooms;
    this.#readPages = batched(
      (questions: Span[][]) => readPages(db, questions),
      (spans) => spans.length,
      SPANS_AT_ONCE,
    );
  }

  /**
   * Runs `work` after the earlier work on the same socket. What overlaps a loss of connections to Postgres may have read
   * two histories, so its connection is closed and the client starts again.
   */
  inTurn<Result>(socket: ClientSocket, work: () => Promise<Result>): Promise<Result> {
    const turn = (this.#turns.get(socket) ?? Promise.resolve()).then(async () => {
      const { interruptions } = this.#db;
      const result = await work();
      if (interruptions !== this.#db.interruptions) closeConnection(socket);
      return result;
    });
    const forget = (): void => {
      if (this.#turns.get(socket) === ended) this.#turns.delete(socket);
    };
    // The caller handles the failure.
    const ended: Promise<void> = turn.then(forget, forget);
    this.#turns.set(socket, ended);
    return turn;
  }

  /**
   * Joins a socket to those streams that its user may read and that it has room for, each from its cursor on. Runs in the
   * socket's turn.
   * @param announce runs in the tick in which the last streams are joined; not at all for a socket that is gone
   * @throws Problem database-unavailable
   */
  async join(
    socket: ClientSocket,
    wanted: Map<string, Position | null>,
    announce: (joined: Joined) => void,
  ): Promise<void> {
    const joined: Joined = { places: new Map(), unreadable: [], leftOut: 0 };
    const names = [...wanted.keys()];
    // A tail that opens later than the access is read would not tell of a loss in between.
    await this.#tails.whenOpen(names);
    const { actor } = socket.data;
    const answer = accessOf(this.#db, actor, names);
    // Tails that are new here open where the streams were when the access was read.
    const entries = this.#tails.hold(names, async () => (await answer).heads);
    const checked = new Map([...entries].map(([name, { epoch }]) => [name, epoch]));
    const end = (name: string, place: Place | "full" | null): void => {
      if (place === "full") joined.leftOut += 1;
      else if (place === null) joined.unreadable.push(name);
      else joined.places.set(name, place);
    };
    try {
      const { readable, heads } = await answer;
      for (const entry of entries.values()) await entry.opened;
      const due = [...entries].filter(([name]) => readable.has(name));
      for (const name of names) if (!readable.has(name)) end(name, null);
      const cursorOf = (name: string): Position | null => wanted.get(name) ?? null;
      // What the answer was made of, the tails have seen then: if Postgres loses it, they lose their place.
      await this.#tails.catchUp(new Map(due), heads);

      const waiting: Waiting[] = [];
      const resuming = due.flatMap(([name, entry]) => {
        const start = { name, entry, epoch: checked.get(name) as number, actor };
        const cursor = cursorOf(name);
        if (cursor !== null) return [{ ...start, cursor }];
        waiting.push(start);
        return [];
      });
      for (let at = 0; at < resuming.length; at += JOINED_STREAMS) {
        let pages = this.#readPages;
        for (let batch = resuming.slice(at, at + JOINED_STREAMS); batch.length > 0; pages = this.#readMore) {
          const spans = batch.flatMap(({ name: stream, entry: { tail }, cursor: after }) =>
            after.seq < tail.last.seq ? [{ stream, after, upTo: tail.last.seq }] : [],
          );
          const read = spans.length === 0 ? null : await pages(spans);
          const behind: typeof batch = [];
          for (const { name, entry, ...progress } of batch) {
            const page = read?.get(name);
            const place = await replay(this.#db, this.#rooms, socket, name, entry, progress, page);
            if (place === "lost") waiting.push({ name, entry, epoch: checked.get(name) as number, actor });
            else if (place !== null && typeof place === "object" && "cursor" in place)
              behind.push({ name, entry, ...place });
            else end(name, place);
          }
          batch = behind;
          // Other sockets get a turn between two batches of thousands of streams.
          if (read === null) await setImmediate();
        }
      }

      const current = await this.#checked(socket, waiting);
      if (socket.disconnected) return;
      for (const { name, entry, isReadable } of current)
        end(name, isReadable ? enter(this.#rooms, socket, name, entry, false) : null);
      announce(joined);
    } finally {
      this.#tails.release(entries.values());
    }
  }

  /** Reads on for one join. The bytes of a read leave out streams, but not the first: if that has no page, its log has none. */
  readonly #readMore = async (spans: Span[]): Promise<Pages> => {
    const limit = Math.max(FIRST_EVENTS, Math.floor(PAGE_EVENTS / spans.length));
    const read = await readLogs(this.#db, spans, limit);
    return new Map(spans.map(({ stream }, nth) => [stream, nth === 0 ? (read[nth] ?? null) : read[nth]]));
  };

  /** Checks the access of a socket that waits until nothing has changed it meanwhile: the answer holds in this tick. */
  async #checked(socket: ClientSocket, waiting: Waiting[]): Promise<(Waiting & { isReadable: boolean })[]> {
    let current = waiting.map((one) => ({ ...one, isReadable: true }));
    for (;;) {
      const rewritten = current.filter(({ entry }) => entry.tail.state === "rewritten");
      for (const { entry } of rewritten) await located(entry);
      const { actor } = socket.data;
      const stale = current.filter((one) => one.entry.epoch !== one.epoch || one.actor !== actor);
      if (rewritten.length + stale.length === 0 || socket.disconnected) return current;
      if (stale.length === 0) continue;
      const epochs = new Map(stale.map(({ name, entry }) => [name, entry.epoch]));
      const readable = await readableStreams(this.#db, actor, [...epochs.keys()]);
      current = current.map((one) => {
        const epoch = epochs.get(one.name);
        return epoch === undefined ? one : { ...one, epoch, actor, isReadable: readable.has(one.name) };
      });
    }
  }
}
