import type { Service, ServiceBroker, ServiceSchema } from "moleculer";
import pg from "pg";
import type { Config } from "../core/config.ts";
import { Problem, retryLater } from "../core/errors.ts";
import { Pipelines } from "./pipelines.ts";
import { type Cost, Turns } from "./turns.ts";

/** A statement with a `name` is prepared once a connection and only bound after that. */
export interface Statement {
  name?: string;
  text: string;
  values?: unknown[];
  /** It may take long (a search, a sweep): it does not go where others wait behind it, and waits for its turn. */
  slow?: Cost;
  /** The id of the user whose slow statement it is: a user has few under way at once. */
  by?: string;
  /** It may wait for another write: it does not go where reads wait behind it. */
  write?: boolean;
}

export interface Queryable {
  /** Runs one statement. @throws Problem database-unavailable, timeout or validation-failed; pg's error for the rest */
  query<Row extends object>(statement: Statement): Promise<Row[]>;
}

export interface Database extends Queryable {
  /**
   * Runs `work` in one READ COMMITTED transaction on one connection, rolled back when it throws.
   * @param timeoutMs milliseconds that each of its statements may take, where DATABASE_TIMEOUT is not enough
   */
  transaction<Result>(work: (tx: Queryable) => Promise<Result>, timeoutMs?: number): Promise<Result>;
  close(): Promise<void>;
}

/** What the mixin lends. */
export interface WithDatabase {
  db: Database;
}

/** `2026-11-21 06:36:14.1+00`, as Postgres writes it, to `2026-11-21T06:36:14.100Z`, as the contract wants it. */
export function isoTimestamp(text: string): string {
  const [date, time] = [text.slice(0, 10), text.slice(11, text.indexOf("+", 10))];
  const [seconds, fraction = ""] = time.split(".");
  return `${date}T${seconds}.${fraction.padEnd(3, "0")}Z`;
}

const { TIMESTAMPTZ, INT8 } = pg.types.builtins as unknown as Record<string, number>;

/** Dates stay text: parsing 20 rows of them into Date objects and back costs more than the query. */
const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") => {
    if (oid === TIMESTAMPTZ) return isoTimestamp;
    if (oid === INT8) return Number;
    return pg.types.getTypeParser(oid, format) as unknown;
  },
};

/** Classes of SQLSTATE that say that Postgres itself is away: connection, resources, operator intervention. */
const AWAY = /^(08|53|57P)/;
const UNREACHABLE = [
  "ECONNREFUSED",
  "ECONNRESET",
  "EPIPE",
  "ETIMEDOUT",
  "ENOTFOUND",
  "EAI_AGAIN",
  "EHOSTUNREACH",
];
/** pg's own words for a connection that is lost or was never made. */
const LOST = /^(Connection terminated|timeout expired|Client (has encountered|was closed))/;
/** Its words for connections that are all in use, and for an answer that did not come in time. */
const BUSY = /^timeout exceeded/;
const SILENT = /^Query read timeout/;

/** The unique constraint or index that a write ran into (`23503`: the foreign key); null when `error` is another. */
export function violatedConstraint(error: unknown, sqlState: "23505" | "23503" = "23505"): string | null {
  const { code, constraint } = error as { code?: string; constraint?: string };
  return code === sqlState ? (constraint ?? "") : null;
}

/**
 * What a client may see of a database error: that it is away, busy or slow, or that the text can't be stored. A
 * statement that was sent and not answered in time was slow: only a connection that fails says that Postgres is away.
 */
export function databaseProblem(error: unknown): unknown {
  const {
    code = "",
    message = "",
    where = "",
  } = error as { code?: string; message?: string; where?: string };
  if (AWAY.test(code) || UNREACHABLE.includes(code) || LOST.test(message))
    return retryLater("database-unavailable");
  if (BUSY.test(message)) return retryLater("overloaded", "All connections to the database are in use");
  // The request that holds the same idempotency key has not committed yet (mixins/idempotency.ts).
  if (code === "55P03" && where.includes('relation "keys_pkey"'))
    return retryLater("idempotency-key-in-flight");
  // Two writes waited for each other: none should, and one of them was undone.
  if (code === "40P01") return retryLater("overloaded", "Two writes stood in each other's way");
  if (code === "57014" || code === "55P03" || SILENT.test(message))
    return retryLater("timeout", "The database took too long");
  if (code === "22021" || code === "22P05")
    return new Problem("validation-failed", "Text must not contain the character U+0000");
  return error;
}

/** Runs one statement and names what a client may know of its failure. */
async function run<Row extends object>(
  target: { query<R extends object>(statement: Statement): Promise<{ rows: R[] }> },
  statement: Statement,
): Promise<Row[]> {
  try {
    return (await target.query<Row>(statement)).rows;
  } catch (error) {
    throw databaseProblem(error);
  }
}

/** Milliseconds that a write waits for a lock where others wait behind it. */
const LOCK_PATIENCE = 100;
/** Milliseconds that a transaction may be silent: whoever is gone must not hold its locks for long. */
const SILENCE = 2000;
/** Slow statements under way: on connections of their own, half of them for those that nothing bounds. */
const SLOW = 6;
/** Slow statements of one user under way; those that wait, of all and of one user. */
const [SLOW_EACH, SLOW_WAITING, SLOW_WAITING_EACH] = [2, 1000, 100];
/** The part of DATABASE_TIMEOUT after which Postgres gives a statement up: before pg would give up its connection. */
const GIVEN_UP = 0.9;

/**
 * Reads and single writes on a few pipelined connections each, so that no read waits behind a write that waits for a
 * lock; transactions on a bounded pool of ordinary ones; and what may take long on a small one of its own, by turns
 * (mixins/turns.ts), so that it holds up nothing else. Nothing connects before the first query, and a lost connection
 * is replaced.
 */
export function openDatabase(config: Config, onError: (error: Error) => void): Database {
  const patience = Math.ceil(config.DATABASE_TIMEOUT / 2);
  const options: pg.ClientConfig = {
    connectionString: config.DATABASE_URL,
    connectionTimeoutMillis: patience,
    query_timeout: config.DATABASE_TIMEOUT,
    statement_timeout: Math.ceil(config.DATABASE_TIMEOUT * GIVEN_UP),
    lock_timeout: Math.ceil(config.DATABASE_TIMEOUT * 0.75),
    idle_in_transaction_session_timeout: SILENCE,
    application_name: `taskwire ${config.NODE_ID}`.trim(),
    options: "-c timezone=UTC",
    keepAlive: true,
    types,
  };
  const open = (max: number, more: pg.ClientConfig = {}): pg.Pool => {
    const pool = new pg.Pool({ ...options, ...more, max });
    pool.on("error", onError);
    return pool;
  };
  // A pipelined connection that pg gives up takes with it what was sent behind; a slow statement has waited before.
  const prompt = {
    statement_timeout: Math.ceil(config.DATABASE_TIMEOUT * 0.75),
    lock_timeout: LOCK_PATIENCE,
  };
  const pool = open(config.DATABASE_POOL);
  const slowAtOnce = Math.min(SLOW, config.DATABASE_POOL);
  const slow = open(slowAtOnce, { statement_timeout: prompt.statement_timeout });
  const turns = new Turns({
    all: slowAtOnce,
    unbounded: Math.ceil(slowAtOnce / 2),
    each: SLOW_EACH,
    waiting: SLOW_WAITING,
    waitingEach: SLOW_WAITING_EACH,
    patienceMs: patience,
  });
  const pipeline = (): Pipelines => new Pipelines({ ...options, ...prompt }, patience, onError);
  const [reads, writes] = [pipeline(), pipeline()];

  /** A statement that hits the lock timeout is sent again through the pool; it changed nothing. */
  const send = <Row extends object>(statement: Statement): Promise<{ rows: Row[] }> =>
    (statement.write === true ? writes : reads).query<Row>(statement).catch((error: unknown) => {
      if ((error as { code?: string }).code !== "55P03") throw error;
      return pool.query<Row>(statement);
    });

  return {
    query: <Row extends object>({ slow: cost, by, ...statement }: Statement) =>
      cost === undefined
        ? run<Row>({ query: send }, statement)
        : turns.run({ cost, by }, () => run<Row>(slow, statement)),
    async transaction(work, timeoutMs) {
      const client = await pool.connect().catch((error: unknown) => {
        throw databaseProblem(error);
      });
      // The pool listens to idle connections alone: one that dies between two statements would end the process.
      client.on("error", onError);
      let broken: Error | undefined;
      try {
        const limit =
          timeoutMs === undefined ? "" : `; SET LOCAL statement_timeout = ${Math.ceil(timeoutMs * GIVEN_UP)}`;
        await run(client, { text: `BEGIN${limit}` });
        const more = timeoutMs !== undefined && { query_timeout: timeoutMs };
        const result = await work({ query: (statement) => run(client, { ...statement, ...more }) });
        await run(client, { text: "COMMIT" });
        return result;
      } catch (error) {
        // A connection that can't even roll back is closed rather than handed to the next caller.
        await client.query("ROLLBACK").catch((rollback: Error) => (broken = rollback));
        throw error;
      } finally {
        client.off("error", onError);
        client.release(broken);
      }
    },
    async close() {
      await Promise.all([reads.close(), writes.close(), pool.end(), slow.end()]);
    },
  };
}

/** One database a process, however many services share it: opened by the first, closed after the last. */
const opened = new WeakMap<ServiceBroker, { database: Database; users: number }>();

/** Lends `this.db`. */
export function database(config: Config): Partial<ServiceSchema> {
  return {
    created(this: Service & Partial<WithDatabase>) {
      const { broker, logger } = this;
      const entry = opened.get(broker) ?? {
        database: openDatabase(config, (error) =>
          logger.warn("lost a connection to Postgres", error.message),
        ),
        users: 0,
      };
      entry.users += 1;
      opened.set(broker, entry);
      this.db = entry.database;
    },
    async stopped(this: Service) {
      const entry = opened.get(this.broker);
      if (entry !== undefined && --entry.users === 0) {
        opened.delete(this.broker);
        await entry.database.close();
      }
    },
  };
}
