/**
 * A sync: what happened after a client's cursors, in all of its streams at once (docs/reference.md, Sync). Nothing is kept
 * of a client between two requests.
 *
 * The rights and the heads are read at one moment, then the log up to these heads. So nothing leaves that was committed
 * after the loss of a right.
 */
import { cursorOf, type LoggedEvent, type Position } from "../../core/events.ts";
import type { Actor } from "../../core/kit.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { ANSWER_BYTES, readLogs, type Span } from "../../mixins/event-log.queries.ts";
import { MAX_STREAMS } from "./handshake.ts";
import { isAt, JOINED_STREAMS } from "./replay.ts";
import type { Sync } from "./notifier.contract.ts";
import { accessOf, ownStream, projectStreams } from "./notifier.queries.ts";

/** Bytes of events after which no more are read: the last read may have added a megabyte. */
const ENOUGH_BYTES = ANSWER_BYTES - 1_000_000;

/** A sync with positions, which its answer has as text. */
export interface Synced extends Omit<Sync, "cursors"> {
  positions: Map<string, Position>;
}

export interface SyncOptions {
  /** Events that the answer has at most. */
  limit: number;
  /** The one stream that the client follows; null for all. */
  only?: string | null;
}

export const hasNews = ({ events, gained, lost, reset, more }: Synced): boolean =>
  more || events.length + gained.length + lost.length + reset.length > 0;

export const answerOf = ({ positions, events, ...more }: Synced): Sync => ({
  events,
  cursors: Object.fromEntries([...positions].map(([name, position]) => [name, cursorOf(position)])),
  ...more,
});

/** The streams of a user that the client has no cursor for: the user's own, and those of the user's projects. */
async function freshStreams(
  db: Queryable,
  actor: Actor,
  cursors: Map<string, Position>,
  only: string | null,
): Promise<{ fresh: string[]; leftOut: number }> {
  if (only !== null) return { fresh: cursors.has(only) ? [] : [only], leftOut: 0 };
  const { names, leftOut } = await projectStreams(db, actor, MAX_STREAMS - 1);
  const own = ownStream(actor);
  const fresh = [...(own === null ? [] : [own]), ...names].filter((name) => !cursors.has(name));
  const room = Math.max(0, MAX_STREAMS - cursors.size);
  return { fresh: fresh.slice(0, room), leftOut: leftOut + Math.max(0, fresh.length - room) };
}

async function syncOnce(
  db: Queryable,
  actor: Actor,
  cursors: Map<string, Position>,
  { limit, only = null }: SyncOptions,
): Promise<Synced> {
  const { fresh, leftOut } = await freshStreams(db, actor, cursors, only);
  const names = [...cursors.keys(), ...fresh];
  const { readable, heads } = await accessOf(db, actor, names);
  const headOf = (name: string): Position => {
    const { head: seq, last_id: id } = heads.get(name) ?? { head: 0, last_id: null };
    return { seq, id };
  };

  const lost = [...cursors.keys()].filter((name) => !readable.has(name));
  const gained = fresh.filter((name) => readable.has(name));
  const positions = new Map(gained.map((name) => [name, headOf(name)]));
  const reset: string[] = [];
  const spans: Span[] = [];
  const startAgain = (name: string): void => {
    reset.push(name);
    positions.set(name, headOf(name));
  };
  for (const [name, after] of cursors) {
    if (!readable.has(name)) continue;
    const head = headOf(name);
    positions.set(name, after);
    if (after.seq < head.seq) spans.push({ stream: name, after, upTo: head.seq });
    else if (!isAt(head, after)) startAgain(name);
    else if (head.id !== null) positions.set(name, head);
  }

  const events: LoggedEvent[] = [];
  let [at, bytes, more] = [0, 0, false];
  while (at < spans.length && events.length < limit && bytes < ENOUGH_BYTES) {
    const left = limit - events.length;
    const batch = spans.slice(at, at + Math.min(JOINED_STREAMS, left));
    at += batch.length;
    // Each stream of a batch gets its share, so that a busy one holds up no other.
    const pages = await readLogs(db, batch, Math.floor(left / batch.length));
    for (const [nth, { stream, upTo }] of batch.entries()) {
      const page = pages[nth];
      const last = page?.at(-1);
      if (page === null) startAgain(stream);
      else if (page === undefined || last === undefined) more = true;
      else {
        for (const event of page) events.push(event);
        bytes += JSON.stringify(page).length;
        positions.set(stream, { seq: last.seq, id: last.id });
        more ||= last.seq < upTo;
      }
    }
  }
  more ||= at < spans.length;
  return { events, positions, gained, lost, reset, more, ...(leftOut > 0 && { left_out: leftOut }) };
}

/**
 * What happened after the cursors, as it is now.
 * @throws Problem database-unavailable
 */
export async function readSync(
  db: Database,
  actor: Actor,
  cursors: Map<string, Position>,
  options: SyncOptions,
): Promise<Synced> {
  const { interruptions } = db;
  const synced = await syncOnce(db, actor, cursors, options);
  // A loss of connections meanwhile may have been a failover, whose two sides are two histories.
  return interruptions === db.interruptions ? synced : syncOnce(db, actor, cursors, options);
}
