/**
 * Pipelined connections to Postgres: why a node does well with three of them is in docs/decisions.md.
 */
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";

/** Connections that single statements share, and how many statements one of them may have under way. */
const LINES = 3;
const UNDER_WAY = 32;
/** Milliseconds between attempts to connect, after the first that failed and at the most. */
const BACKOFF = { first: 25, most: 250 };
/** Milliseconds that a connection has to say goodbye. */
const FAREWELL = 1000;

interface Line {
  client: pg.Client;
  underWay: number;
  /** Names of statements that have been answered here once, and of those whose first answer is awaited. */
  known: Set<string>;
  first: Map<string, Promise<unknown>>;
}

/**
 * A named statement is prepared by the first that sends it. Others follow when that one was answered: sent behind it
 * in good faith they would fail with it, were it not to be prepared.
 */
async function send<Row extends object>(line: Line, statement: pg.QueryConfig): Promise<pg.QueryResult<Row>> {
  const { name } = statement;
  if (name === undefined || line.known.has(name)) return line.client.query<Row>(statement);
  for (let before; (before = line.first.get(name)) !== undefined;) await before.catch(() => {});
  if (line.known.has(name)) return line.client.query<Row>(statement);
  const answer = line.client.query<Row>(statement);
  line.first.set(name, answer);
  try {
    const result = await answer;
    line.known.add(name);
    return result;
  } finally {
    line.first.delete(name);
  }
}

/**
 * A few long-lived connections in pipeline mode: a statement is sent while those before it are still being answered, so
 * that neither side waits for the other. Each statement is a transaction of its own, with its own error. What is slow
 * delays what was sent behind it on the same connection, so transactions and long queries belong elsewhere.
 *
 * A statement takes the least busy connection. Where all have their fill or none is open it waits, as long as an
 * ordinary pool would let it wait for a connection. Nothing connects before the first statement; a lost connection
 * fails what is under way on it, and is replaced when it is missed.
 */
export class Pipelines {
  readonly #options: pg.ClientConfig;
  readonly #patience: number;
  readonly #onError: (error: Error) => void;
  readonly #lines = new Set<Line>();
  /** Who waits for a line, longest first. */
  readonly #waiting = new Set<(line: Line | undefined, error?: Error) => void>();
  #connecting = 0;
  /** Attempts to connect that failed since one succeeded. */
  #failed = 0;
  #closed = false;

  /** @param patience milliseconds that a statement waits until it is sent */
  constructor(options: pg.ClientConfig, patience: number, onError: (error: Error) => void) {
    this.#options = { ...options, pipeline: true };
    this.#patience = patience;
    this.#onError = onError;
  }

  async query<Row extends object>(statement: pg.QueryConfig): Promise<pg.QueryResult<Row>> {
    const line = (this.#waiting.size === 0 ? this.#take() : undefined) ?? (await this.#wait());
    try {
      return await send<Row>(line, statement);
    } finally {
      line.underWay -= 1;
      this.#serveWaiting();
    }
  }

  /** Ends when all that is under way was answered. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#refuseWaiting(new Error("Client was closed"));
    await Promise.all([...this.#lines].map((line) => this.#end(line)));
  }

  /** The least busy line that has room, if there is one. Busy ones get company. */
  #take(): Line | undefined {
    let best: Line | undefined;
    for (const line of this.#lines) if (line.underWay < (best?.underWay ?? UNDER_WAY)) best = line;
    if (best?.underWay !== 0) this.#grow();
    if (best !== undefined) best.underWay += 1;
    return best;
  }

  #wait(): Promise<Line> {
    const { promise, resolve, reject } = Promise.withResolvers<Line>();
    const settle = (line: Line | undefined, error?: Error): void => {
      clearTimeout(timer);
      this.#waiting.delete(settle);
      if (line === undefined) reject(error);
      else resolve(line);
    };
    // Without a connection Postgres is away; with connections that are all busy it is not.
    const late = () => new Error(this.#lines.size === 0 ? "timeout expired" : "timeout exceeded");
    const timer = setTimeout(() => settle(undefined, late()), this.#patience);
    if (this.#closed) settle(undefined, new Error("Client was closed"));
    else this.#waiting.add(settle);
    this.#serveWaiting();
    return promise;
  }

  #serveWaiting(): void {
    for (const settle of this.#waiting) {
      const line = this.#take();
      if (line === undefined) return;
      settle(line);
    }
  }

  #refuseWaiting(error: Error): void {
    for (const settle of this.#waiting) settle(undefined, error);
  }

  /** Opens another connection, if there may be one more; while that fails, one after the other. */
  #grow(): void {
    if (this.#closed || this.#lines.size + this.#connecting >= LINES) return;
    if (this.#failed > 0 && this.#connecting > 0) return;
    this.#connecting += 1;
    void this.#connect();
  }

  async #connect(): Promise<void> {
    if (this.#failed > 0) await delay(Math.min(BACKOFF.first * 2 ** (this.#failed - 1), BACKOFF.most));
    const client = new pg.Client(this.#options);
    const line: Line = { client, underWay: 0, known: new Set(), first: new Map() };
    let open = false;
    client.on("error", (error) => {
      this.#lines.delete(line);
      if (open) this.#onError(error);
    });
    client.on("end", () => this.#lines.delete(line));
    try {
      await client.connect();
      open = true;
      this.#failed = 0;
      this.#lines.add(line);
      if (this.#closed) await this.#end(line);
    } catch (error) {
      this.#failed += 1;
      void client.end().catch(() => {});
      if (this.#lines.size === 0) this.#refuseWaiting(error as Error);
    } finally {
      this.#connecting -= 1;
      this.#serveWaiting();
    }
  }

  async #end(line: Line): Promise<void> {
    await Promise.race([line.client.end(), delay(FAREWELL, undefined, { ref: false })]).catch(() => {});
    this.#lines.delete(line);
  }
}
