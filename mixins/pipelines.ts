/**
 * Pipelined connections to Postgres. docs/decisions.md says why a node has three of them.
 */
import type { Duplex } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { CONNECTIONS } from "../core/connections.ts";
import type { PoolState } from "./database-metrics.ts";

/** Statements that each of the shared connections has under way at most. */
const STATEMENTS_UNDER_WAY = 32;
/** The pause between attempts to connect, after the first failure and at most. */
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS] = [25, 250];
/** How long a connection has to close. */
const CLOSE_MS = 1000;

interface Connection {
  client: pg.Client;
  underWay: number;
  /** Whether the statements of this turn are held back, to leave in one write. */
  isHeld: boolean;
  /** Names of the statements that this connection has prepared, and of those that it is preparing. */
  prepared: Set<string>;
  preparing: Map<string, Promise<unknown>>;
}

/** Has the statements of this turn of the event loop leave in one write: a write costs more than a statement's bytes. */
function holdBack(connection: Connection): void {
  if (connection.isHeld) return;
  connection.isHeld = true;
  const { stream } = (connection.client as unknown as { connection: { stream: Duplex } }).connection;
  stream.cork();
  setImmediate(() => {
    connection.isHeld = false;
    stream.uncork();
  });
}

/**
 * The first to send a named statement prepares it; others wait for its result. Sent right behind it they would fail
 * together with it if Postgres could not prepare it.
 */
async function send<Row extends object>(
  connection: Connection,
  statement: pg.QueryConfig,
): Promise<pg.QueryResult<Row>> {
  const { name } = statement;
  holdBack(connection);
  if (name === undefined || connection.prepared.has(name)) return connection.client.query<Row>(statement);
  for (let first; (first = connection.preparing.get(name)) !== undefined;) await first.catch(() => {});
  if (connection.prepared.has(name)) return connection.client.query<Row>(statement);
  const first = connection.client.query<Row>(statement);
  connection.preparing.set(name, first);
  try {
    const result = await first;
    connection.prepared.add(name);
    return result;
  } finally {
    connection.preparing.delete(name);
  }
}

/**
 * A few long-lived connections in pipeline mode: pg sends a statement while Postgres still answers those before it, so that
 * neither side waits for the other. Each statement is a transaction of its own, with its own error. A slow statement
 * delays those sent behind it on the same connection, so transactions and long queries belong elsewhere.
 *
 * A statement takes the least busy connection. When all are full or none is open it waits, as long as an ordinary pool
 * would let it wait for a connection. The first statement connects. A lost connection fails the statements under way on
 * it, and a later statement replaces it.
 */
export class Pipelines {
  readonly #options: pg.ClientConfig;
  readonly #waitMs: number;
  readonly #onError: (error: Error) => void;
  readonly #connections = new Set<Connection>();
  /** Statements that wait for a connection, longest first. */
  readonly #waiting = new Set<(connection: Connection | undefined, error?: Error) => void>();
  #connecting = 0;
  /** Failed attempts to connect since the last success. */
  #failed = 0;
  #closed = false;

  /** @param waitMs how long a statement waits for a connection */
  constructor(options: pg.ClientConfig, waitMs: number, onError: (error: Error) => void) {
    this.#options = { ...options, pipeline: true };
    this.#waitMs = waitMs;
    this.#onError = onError;
  }

  async query<Row extends object>(statement: pg.QueryConfig): Promise<pg.QueryResult<Row>> {
    const connection = (this.#waiting.size === 0 ? this.#take() : undefined) ?? (await this.#wait());
    try {
      return await send<Row>(connection, statement);
    } finally {
      connection.underWay -= 1;
      this.#serveWaiting();
    }
  }

  /** What is under way and what waits, for metrics. */
  get state(): PoolState {
    let used = 0;
    for (const { underWay } of this.#connections) used += underWay;
    return {
      connections: this.#connections.size,
      used,
      waiting: this.#waiting.size,
      max: CONNECTIONS.pipelined * STATEMENTS_UNDER_WAY,
    };
  }

  /** Resolves when the statements under way have ended. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#refuseWaiting(new Error("Client was closed"));
    await Promise.all([...this.#connections].map((connection) => this.#end(connection)));
  }

  /** The least busy connection that has room, if there is one. When even that one is busy, another connection opens. */
  #take(): Connection | undefined {
    let best: Connection | undefined;
    for (const connection of this.#connections)
      if (connection.underWay < (best?.underWay ?? STATEMENTS_UNDER_WAY)) best = connection;
    if (best?.underWay !== 0) this.#grow();
    if (best !== undefined) best.underWay += 1;
    return best;
  }

  #wait(): Promise<Connection> {
    const { promise, resolve, reject } = Promise.withResolvers<Connection>();
    const settle = (connection: Connection | undefined, error?: Error): void => {
      clearTimeout(timer);
      this.#waiting.delete(settle);
      if (connection === undefined) reject(error);
      else resolve(connection);
    };
    // Without a connection Postgres is away; with connections that are all busy it is not.
    const late = () => new Error(this.#connections.size === 0 ? "timeout expired" : "timeout exceeded");
    const timer = setTimeout(() => settle(undefined, late()), this.#waitMs);
    if (this.#closed) settle(undefined, new Error("Client was closed"));
    else this.#waiting.add(settle);
    this.#serveWaiting();
    return promise;
  }

  #serveWaiting(): void {
    for (const settle of this.#waiting) {
      const connection = this.#take();
      if (connection === undefined) return;
      settle(connection);
    }
  }

  #refuseWaiting(error: Error): void {
    for (const settle of this.#waiting) settle(undefined, error);
  }

  /** Opens another connection, if there may be one more; while attempts fail, one at a time. */
  #grow(): void {
    if (this.#closed || this.#connections.size + this.#connecting >= CONNECTIONS.pipelined) return;
    if (this.#failed > 0 && this.#connecting > 0) return;
    this.#connecting += 1;
    void this.#connect();
  }

  async #connect(): Promise<void> {
    if (this.#failed > 0) await delay(Math.min(FIRST_PAUSE_MS * 2 ** (this.#failed - 1), LONGEST_PAUSE_MS));
    const client = new pg.Client(this.#options);
    const connection: Connection = {
      client,
      underWay: 0,
      isHeld: false,
      prepared: new Set(),
      preparing: new Map(),
    };
    let open = false;
    client.on("error", (error) => {
      this.#connections.delete(connection);
      if (open) this.#onError(error);
    });
    client.on("end", () => this.#connections.delete(connection));
    try {
      await client.connect();
      open = true;
      this.#failed = 0;
      this.#connections.add(connection);
      if (this.#closed) await this.#end(connection);
    } catch (error) {
      this.#failed += 1;
      void client.end().catch(() => {});
      if (this.#connections.size === 0) this.#refuseWaiting(error as Error);
    } finally {
      this.#connecting -= 1;
      this.#serveWaiting();
    }
  }

  async #end(connection: Connection): Promise<void> {
    await Promise.race([connection.client.end(), delay(CLOSE_MS, undefined, { ref: false })]).catch(() => {});
    this.#connections.delete(connection);
  }
}
