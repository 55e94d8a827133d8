/**
 * The snapshots that a node holds open. Each is a transaction on a connection of its own, which stands still until its
 * reader asks for the next part: so neither node holds more of it than a part, however large the project and however
 * slow the client. Moleculer's streams can't do that: their sender does not learn how fast they are read, nor that
 * nobody reads them any more.
 */
import { randomBytes } from "node:crypto";
import { CONNECTIONS } from "../../core/connections.ts";
import { retryLater } from "../../core/errors.ts";
import type { Actor } from "../../core/kit.ts";
import type { Database, Snapshot } from "../../mixins/database.ts";
import type { SnapshotPart } from "./tasks.contract.ts";
import { snapshotLines } from "./snapshots.queries.ts";

/** Snapshots of one user that a node holds at most. */
const MOST_PER_USER = 2;
/** Characters of a part, at which it ends with a line: NATS takes parts of any text. */
const PART_CHARACTERS = 256 * 1024;
/** How long a call may take for one part; its statement must end before that. */
export const PART_MS = 10_000;
const STATEMENT_MS = 9000;
/** How long the reader may take between two parts: longer than the gateway gives to its client. */
const IDLE_MS = 40_000;
/** How long a snapshot may last: Postgres keeps all rows that were deleted meanwhile. */
const LIFE_MS = 600_000;

interface Open {
  readonly user: string;
  readonly db: Promise<Snapshot>;
  readonly parts: Promise<AsyncGenerator<string, string, void>>;
  readonly life: NodeJS.Timeout;
  idle?: NodeJS.Timeout;
}

/** Joins lines of JSON to parts; the last part is returned. */
async function* inParts(pages: AsyncIterable<object[]>): AsyncGenerator<string, string, void> {
  let part = "";
  for await (const page of pages)
    for (const line of page) {
      part += `${JSON.stringify(line)}\n`;
      if (part.length < PART_CHARACTERS) continue;
      yield part;
      part = "";
    }
  return part;
}

export class Snapshots {
  readonly #db: Database;
  readonly #node: string;
  readonly #open = new Map<string, Open>();

  /** @param node the name of this node, to which the calls for further parts go */
  constructor(db: Database, node: string) {
    this.#db = db;
    this.#node = node;
  }

  /**
   * Begins a snapshot. @returns its first part
   * @throws Problem not-found; rate-limited or overloaded when the user or the node has as many as it may
   */
  begin(actor: Actor, project: string): Promise<SnapshotPart> {
    const ofUser = [...this.#open.values()].filter(({ user }) => user === actor.id).length;
    if (ofUser >= MOST_PER_USER)
      throw retryLater("rate-limited", `${MOST_PER_USER} of your snapshots are still being read`);
    if (this.#open.size >= CONNECTIONS.snapshots)
      throw retryLater("overloaded", "Too many snapshots are being read");
    const id = randomBytes(16).toString("base64url");
    const db = this.#db.openSnapshot({ statementMs: STATEMENT_MS, idleMs: IDLE_MS + STATEMENT_MS });
    this.#open.set(id, {
      user: actor.id,
      db,
      parts: db.then((snapshot) => inParts(snapshotLines(snapshot, actor, project))),
      life: setTimeout(() => void this.end(id), LIFE_MS).unref(),
    });
    return this.read(id);
  }

  /** @returns the next part @throws Problem service-unavailable for a snapshot that ended; of the database */
  async read(id: string): Promise<SnapshotPart> {
    const open = this.#open.get(id);
    if (open === undefined) throw retryLater("service-unavailable", "The snapshot has ended");
    clearTimeout(open.idle);
    try {
      const { value, done = false } = await (await open.parts).next();
      if (done) await this.end(id);
      else open.idle = setTimeout(() => void this.end(id), IDLE_MS).unref();
      return { text: value, id: done ? null : id, node: this.#node };
    } catch (error) {
      await this.end(id);
      throw error;
    }
  }

  /** Ends a snapshot and its transaction, also while a part is read. */
  async end(id: string): Promise<void> {
    const open = this.#open.get(id);
    if (open === undefined) return;
    this.#open.delete(id);
    clearTimeout(open.life);
    clearTimeout(open.idle);
    await open.db.then(
      (snapshot) => snapshot.end(),
      () => {},
    );
  }

  async close(): Promise<void> {
    await Promise.all([...this.#open.keys()].map((id) => this.end(id)));
  }
}
