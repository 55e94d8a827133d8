import type { Service, ServiceBroker, ServiceSchema } from "moleculer";
import pg from "pg";
import type { Part } from "../core/cached-answer.ts";
import type { Config } from "../core/config.ts";
import type { Log } from "../core/log.ts";
import { CONNECTIONS } from "../core/connections.ts";
import { Lines } from "../core/lines.ts";
import { outsideScope, traced } from "../core/trace.ts";
import { Metrics, metricsOf } from "../core/metrics.ts";
import { type AnswerCache, openCache, type WriteMarks } from "./cache.ts";
import { databaseProblem, foundReadOnly, isRefusal } from "./database-errors.ts";
import { measureDatabase, type PoolState } from "./database-metrics.ts";
import { Pipelines } from "./pipelines.ts";
import { type Cost, Turns } from "./turns.ts";

/** A connection prepares a statement with a `name` once, and only binds it after that. */
export interface Statement {
  name?: string;
  text: string;
  values?: unknown[];
  /** The statement may take long (a search, a sweep): it goes to the slow connections and waits for its turn there. */
  slow?: Cost;
  /** The id of the user whose slow statement it is: each user has few under way at once. */
  by?: string;
  /** The statement may wait for another write: it goes to connections that carry no reads. */
  write?: boolean;
  /** The names of the cached answers that the write outdates (mixins/cache.ts). */
  outdates?: readonly string[];
  /** What one of these names shows once the write has returned a row; said outside of transactions alone. */
  shows?: Part;
}

export interface Queryable {
  /** Runs one statement. @throws Problem database-unavailable, timeout or validation-failed; pg's error for the rest */
  query<Row extends object>(statement: Statement): Promise<Row[]>;
}

/** A moment of the database. */
export interface Snapshot extends Queryable {
  /** Ends the transaction and its connection, whatever runs on it. Never throws. */
  end(): Promise<void>;
}

export interface Database extends Queryable {
  /**
   * Runs `work` in one READ COMMITTED transaction on one connection, rolled back when it throws.
   * @param timeoutMs the time for each of its statements, when DATABASE_TIMEOUT is too short
   */
  transaction<Result>(work: (tx: Queryable) => Promise<Result>, timeoutMs?: number): Promise<Result>;
  /** Of the work of this node that would wait for one lock in Postgres, one runs at a time. Work that waits here holds no connection. */
  lines: Pick<Lines, "run">;
  /**
   * Begins a read-only REPEATABLE READ transaction on a connection of its own: all that it reads is of one moment.
   * Postgres can't clean up behind that moment, so the caller bounds how many there are and how long each lasts.
   * @param statementMs the time for each of its statements
   * @param idleMs the time that may pass between two of them
   */
  openSnapshot(limits: { statementMs: number; idleMs: number }): Promise<Snapshot>;
  /** Marks what writes outdate; null where nothing is cached. */
  cache: Pick<AnswerCache, "begin"> | null;
  /** How many connections were lost: answers from before and after one may be of two histories (a restore, a failover). */
  readonly interruptions: number;
  close(): Promise<void>;
}

/** The mixin lends these. */
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

/** Dates stay text: turning those of 20 rows into Date objects and back costs more than the query. */
export const types: pg.CustomTypesConfig = {
  getTypeParser: (oid: number, format?: "text" | "binary") => {
    if (oid === TIMESTAMPTZ) return isoTimestamp;
    if (oid === INT8) return Number;
    return pg.types.getTypeParser(oid, format) as unknown;
  },
};

/**
 * Settings of each connection. Lists are read in the order of an index, row by row; at the usual 4 for a page out of order
 * Postgres would rather read a whole project and sort it. No statement is long enough to be compiled.
 */
export const SESSION = "-c timezone=UTC -c random_page_cost=1.1 -c jit=off";

const POSTGRES = { "db.system.name": "postgresql" };

/** Runs `work` as the span of a statement, by its name; an unnamed one goes by its first word. Never by its values. */
const tracedStatement = <Result>({ name, text }: Statement, work: () => Result): Result =>
  traced(name ?? (/\w+/.exec(text)?.[0] ?? "statement").toUpperCase(), "client", POSTGRES, work);

/** Runs one statement and turns its failure into a problem. */
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

/** How long a write waits for a lock on a pipelined connection, where other writes wait behind it. */
const LOCK_WAIT_MS = 100;
/** How long a transaction may send nothing: a node that is gone must not hold its locks for long. */
const IDLE_TRANSACTION_MS = 2000;
/** Slow statements of one user under way; slow statements that wait, of all users and of one. */
const SLOW_STANDING = { afterMs: 500, waitMs: 200 };
const [SLOW_PER_USER, SLOW_WAITING, SLOW_WAITING_PER_USER] = [2, 1000, 100];
/** The share of DATABASE_TIMEOUT after which Postgres cancels a statement: before pg would give up the connection. */
const STATEMENT_SHARE = 0.9;
/** The same for a lock, and for any statement on a connection that others share. */
const SHARED_STATEMENT_SHARE = 0.75;

/** How long connections stay at least: a Postgres that is read-only for long is not asked by new ones all the time. */
const REPLACE_MS = 500;

/**
 * Reads and single writes use a few pipelined connections each, so that no read waits behind a write that waits for a
 * lock. Transactions use a bounded pool of ordinary connections. Slow statements take turns (mixins/turns.ts) on a small
 * pool of their own, so that they hold up nothing else. The first query connects; a lost connection is replaced. When a
 * write finds Postgres read-only, all connections are replaced: reads would go on at the old primary.
 */
export function openDatabase(
  config: Config,
  onLost: (error: Error) => void,
  metrics = new Metrics(),
): Database {
  let interruptions = 0;
  const onError = (error: Error): void => {
    interruptions += 1;
    measured.interrupted();
    onLost(error);
  };
  const connectMs = Math.ceil(config.DATABASE_TIMEOUT / 2);
  const lockMs = Math.ceil(config.DATABASE_TIMEOUT * SHARED_STATEMENT_SHARE);
  const options: pg.ClientConfig = {
    connectionString: config.DATABASE_URL,
    connectionTimeoutMillis: connectMs,
    query_timeout: config.DATABASE_TIMEOUT,
    statement_timeout: Math.ceil(config.DATABASE_TIMEOUT * STATEMENT_SHARE),
    lock_timeout: lockMs,
    idle_in_transaction_session_timeout: IDLE_TRANSACTION_MS,
    application_name: `taskwire ${config.NODE_ID}`.trim(),
    options: SESSION,
    keepAlive: true,
    types,
  };
  const open = (max: number, more: pg.ClientConfig = {}): pg.Pool => {
    const pool = new pg.Pool({ ...options, ...more, max });
    // A connection has our listener from its first packet to its last. The pool's own listens to idle ones alone, and takes
    // itself off before a caller can listen: a Postgres that dies at that moment would end the process.
    pool.on("connect", (client) => client.on("error", onError));
    pool.on("error", () => {});
    return pool;
  };
  // A pipelined connection that pg gives up fails the statements sent behind; a slow statement has waited before.
  const sharedOptions = {
    statement_timeout: Math.ceil(config.DATABASE_TIMEOUT * SHARED_STATEMENT_SHARE),
    lock_timeout: LOCK_WAIT_MS,
  };
  // Unbounded statements get half of them.
  const slowAtOnce = Math.min(CONNECTIONS.slow, config.DATABASE_POOL);
  const turns = new Turns({
    all: slowAtOnce,
    unbounded: Math.ceil(slowAtOnce / 2),
    perUser: SLOW_PER_USER,
    waiting: SLOW_WAITING,
    waitingPerUser: SLOW_WAITING_PER_USER,
    waitMs: connectMs,
    standing: SLOW_STANDING,
  });
  const pipeline = (): Pipelines => new Pipelines({ ...options, ...sharedOptions }, connectMs, onError);
  const openAll = () => ({
    reads: pipeline(),
    writes: pipeline(),
    pool: open(config.DATABASE_POOL),
    slow: open(slowAtOnce, { statement_timeout: sharedOptions.statement_timeout }),
    since: performance.now(),
  });
  const closeAll = ({ reads, writes, pool, slow }: ReturnType<typeof openAll>) =>
    Promise.all([reads.close(), writes.close(), pool.end(), slow.end()]);
  let connections = openAll();
  let snapshots = 0;

  const stateOf = (pool: pg.Pool, max: number): PoolState => ({
    connections: pool.totalCount,
    used: pool.totalCount - pool.idleCount,
    waiting: pool.waitingCount,
    max,
  });
  const measured = measureDatabase(metrics, () => {
    const { reads, writes, pool, slow } = connections;
    return {
      reads: reads.state,
      writes: writes.state,
      transactions: stateOf(pool, config.DATABASE_POOL),
      slow: { ...turns.state, connections: slow.totalCount },
      snapshots: { connections: snapshots, used: snapshots, waiting: 0 },
    };
  });

  let isReadOnly = false;
  function replaceAll(why: Error): void {
    const old = connections;
    connections = openAll();
    onError(why);
    void closeAll(old).catch(() => {});
  }
  /** Passes an error on. After a write that found Postgres read-only, statements connect again, to the primary. */
  function mindReadOnly(error: unknown): never {
    if (foundReadOnly(error)) {
      isReadOnly = true;
      if (performance.now() - connections.since > REPLACE_MS) replaceAll(error as Error);
    }
    throw error;
  }
  /** The first write at the primary: reads may have connected to the standby a moment before. */
  function mindWritten(): void {
    if (!isReadOnly) return;
    isReadOnly = false;
    replaceAll(new Error("Postgres takes writes again"));
  }

  /** A statement that hits the lock timeout is sent again through the pool; it changed nothing. */
  const send = <Row extends object>(statement: Statement): Promise<{ rows: Row[] }> =>
    connections[statement.write === true ? "writes" : "reads"]
      .query<Row>(statement)
      .catch((error: unknown) => {
        if ((error as { code?: string }).code !== "55P03") throw error;
        return connections.pool.query<Row>(statement);
      })
      .then((result) => {
        if (statement.write === true) mindWritten();
        return result;
      }, mindReadOnly);

  /**
   * Runs a write, and ends the marks that it began.
   * @param mayHaveCommitted whether it may have, in spite of an error
   * @param shown what a name shows after it
   */
  async function marking<Result>(
    marks: readonly WriteMarks[],
    write: () => Promise<Result>,
    mayHaveCommitted: (error: unknown) => boolean = (error) => !isRefusal(error),
    shown: (result: Result) => Part | undefined = () => undefined,
  ): Promise<Result> {
    let result: Result;
    try {
      result = await write();
    } catch (error) {
      if (!mayHaveCommitted(error)) marks.forEach((mark) => mark.refused());
      throw error;
    }
    await Promise.all(marks.map((mark) => mark.committed(shown(result))));
    return result;
  }

  const querySingle = <Row extends object>({ slow: cost, by, ...statement }: Statement) =>
    tracedStatement(statement, () =>
      cost === undefined
        ? measured.query(statement.write === true ? "writes" : "reads", () =>
            run<Row>({ query: send }, statement),
          )
        : measured.query("slow", () => turns.run({ cost, by }, () => run<Row>(connections.slow, statement))),
    );

  const writeSingle = <Row extends object>(
    marks: WriteMarks,
    shows: Part | undefined,
    statement: Statement,
  ) =>
    marking(
      [marks],
      async () => {
        if (marks.ready !== null) await marks.ready;
        return querySingle<Row>(statement);
      },
      undefined,
      (rows) => (rows.length > 0 ? shows : undefined),
    );

  const database: Database = {
    cache: null,
    lines: new Lines(lockMs),
    query: <Row extends object>({ outdates = [], shows, ...statement }: Statement) =>
      outdates.length === 0 || database.cache === null
        ? querySingle<Row>(statement)
        : writeSingle<Row>(database.cache.begin(outdates), shows, statement),
    transaction(work, timeoutMs) {
      const marks: WriteMarks[] = [];
      let isCommitting = false;
      const write = () =>
        traced("transaction", "client", POSTGRES, async () => {
          const client = await connections.pool.connect().catch((error: unknown) => {
            throw measured.failed(databaseProblem(error));
          });
          let broken: Error | undefined;
          const send = <Row extends object>(statement: Statement) =>
            client.query<Row>(statement).catch((error: unknown) => {
              if (foundReadOnly(error)) broken = error as Error;
              return mindReadOnly(error);
            });
          const sendHere = <Row extends object>(statement: Statement) =>
            measured.query("transactions", () => run<Row>({ query: send }, statement));
          try {
            const limit =
              timeoutMs === undefined
                ? ""
                : `; SET LOCAL statement_timeout = ${Math.ceil(timeoutMs * STATEMENT_SHARE)}`;
            await sendHere({ text: `BEGIN${limit}` });
            const more = timeoutMs !== undefined && { query_timeout: timeoutMs };
            const result = await work({
              query: async ({ outdates = [], shows: _shows, ...statement }) => {
                if (outdates.length > 0 && database.cache !== null) {
                  const mark = database.cache.begin(outdates);
                  marks.push(mark);
                  if (mark.ready !== null) await mark.ready;
                }
                return tracedStatement(statement, () => sendHere({ ...statement, ...more }));
              },
            });
            isCommitting = true;
            await sendHere({ text: "COMMIT" });
            mindWritten();
            return result;
          } catch (error) {
            // A connection that can't even roll back is closed rather than handed to the next caller.
            await client.query("ROLLBACK").catch((rollback: Error) => (broken = rollback));
            throw error;
          } finally {
            client.release(broken);
          }
        });
      return marking(marks, write, (error) => isCommitting && !isRefusal(error));
    },
    async openSnapshot({ statementMs, idleMs }) {
      const client = new pg.Client({
        ...options,
        statement_timeout: Math.ceil(statementMs * STATEMENT_SHARE),
        query_timeout: statementMs,
        idle_in_transaction_session_timeout: idleMs,
      });
      client.on("error", onError);
      snapshots += 1;
      client.once("end", () => (snapshots -= 1));
      const end = () => client.end().catch(() => {});
      try {
        await client.connect().catch((error: unknown) => {
          throw measured.failed(databaseProblem(error));
        });
        await run(client, { text: "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" });
      } catch (error) {
        void end();
        throw error;
      }
      return {
        query: (statement) =>
          measured.query("snapshots", () => tracedStatement(statement, () => run(client, statement))),
        end,
      };
    },
    get interruptions() {
      return interruptions;
    },
    async close() {
      await closeAll(connections);
    },
  };
  return database;
}

/** One database per broker, which its services share: the first service opens it, the last one closes it. */
const opened = new WeakMap<
  ServiceBroker,
  { database: Database; cache: AnswerCache | null; users: number; started: Promise<void> | null }
>();

/** The database that the services of a broker share; undefined before the first of them is made. */
export const databaseOf = (broker: ServiceBroker): Database | undefined => opened.get(broker)?.database;

function open(config: Config, broker: ServiceBroker, log: Log<"warn">) {
  const onLost = (error: Error): void =>
    // A connection outlives the request that opened it.
    outsideScope(() =>
      log.warn("lost a connection to Postgres; the next query opens another", error.message),
    );
  const database = openDatabase(config, onLost, metricsOf(broker));
  const cache = openCache(broker, database, log);
  database.cache = cache;
  return { database, cache, users: 0, started: null };
}

/** The cache of answers that the services of a broker share; null where nothing is cached. */
export const cacheOf = (broker: ServiceBroker): AnswerCache | null => opened.get(broker)?.cache ?? null;

/**
 * Lends `this.db`.
 * @param cache whether the service takes cached answers, or writes what they hang on
 */
export function database(config: Config, { cache = true } = {}): Partial<ServiceSchema> {
  return {
    created(this: Service & Partial<WithDatabase>) {
      const { broker, logger } = this;
      const entry = opened.get(broker) ?? open(config, broker, logger);
      entry.users += 1;
      opened.set(broker, entry);
      this.db = entry.database;
    },
    async started(this: Service) {
      const entry = opened.get(this.broker);
      if (cache && entry !== undefined) await (entry.started ??= entry.cache?.start() ?? Promise.resolve());
    },
    async stopped(this: Service) {
      const entry = opened.get(this.broker);
      if (entry !== undefined && --entry.users === 0) {
        opened.delete(this.broker);
        entry.cache?.stop();
        await entry.database.close();
      }
    },
  };
}
