import { setTimeout as delay } from "node:timers/promises";
import { PgBoss, type Queue } from "pg-boss";
import { atMost } from "../core/at-most.ts";
import type { Config } from "../core/config.ts";
import { CONNECTIONS } from "../core/connections.ts";
import type { Log } from "../core/log.ts";

/** `npm run migrate` makes it (migrations/jobs.ts): a node needs no right to change it. */
export const JOBS_SCHEMA = "jobs";
/** Milliseconds between two log lines about an outage: while the database is away, each poll fails. */
const QUIET_MS = 60_000;
/** Seconds between two checks for expired attempts and for rows to delete. */
const SWEEP_S = 60;
/** Milliseconds after the grace in which a node waits for a database that does not answer. */
const STOP_MS = 3000;

interface Options {
  /** In log lines and in the names of connections: `mail queue`. */
  label: string;
  log: Log<"warn">;
  /** Milliseconds that running attempts have to finish when the node stops. */
  graceMs: number;
  /** Seconds between two checks for jobs that their cron makes due, at most 45. A node without it leaves them to others. */
  cronCheckSeconds?: number;
  /** Defines queues and starts workers. It runs again after it, or the start of pg-boss before it, failed. */
  setUp(queues: JobQueues): Promise<void>;
}

/**
 * One node's pg-boss: job queues in Postgres, in the schema `jobs`. Any number of nodes may serve the same queues.
 *
 * It opens in the background, however long Postgres is away, and logs the outage once a minute.
 */
export class JobQueues {
  readonly pgBoss: PgBoss;
  readonly #options: Options;
  readonly #stopping = new AbortController();
  readonly #opening: Promise<void>;
  #open = false;
  #quietUntil = 0;

  constructor(config: Config, options: Options) {
    this.#options = options;
    const pool = {
      connectionString: config.DATABASE_URL,
      application_name: `taskwire ${config.NODE_ID} ${options.label}`,
      max: Math.min(CONNECTIONS.jobs, config.DATABASE_POOL),
      connectionTimeoutMillis: Math.ceil(config.DATABASE_TIMEOUT / 2),
      // pg-boss hands it to pg. A sweep is one query, which may take long on a slow disk.
      query_timeout: 15_000,
      keepAlive: true,
    };
    this.pgBoss = new PgBoss({
      ...pool,
      schema: JOBS_SCHEMA,
      migrate: false,
      createSchema: false,
      superviseIntervalSeconds: SWEEP_S,
      monitorIntervalSeconds: SWEEP_S,
      maintenanceIntervalSeconds: SWEEP_S,
      // No other feature of pg-boss is needed.
      flowIntervalSeconds: 3600,
      schedule: options.cronCheckSeconds !== undefined,
      ...(options.cronCheckSeconds !== undefined && {
        cronMonitorIntervalSeconds: options.cronCheckSeconds,
        cronWorkerIntervalSeconds: Math.min(options.cronCheckSeconds, 5),
      }),
      registerInstance: false,
      reindex: false,
      monitorVacuum: false,
    });
    this.pgBoss.on("error", (error) => this.logOutage(error));
    this.pgBoss.on("warning", ({ message }) => options.log.warn(`${options.label}: ${message}`));
    this.#opening = this.#start();
  }

  /** Aborted as soon as the node stops. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Waits until the queues are open, at most `ms` milliseconds. @returns whether they are */
  async waitUntilOpen(ms: number): Promise<boolean> {
    if (!this.#open) await atMost(ms, this.#opening);
    return this.#open;
  }

  /**
   * Creates a queue, or gives an existing one these options. An existing queue keeps its policy. A queue is a row: only a
   * partitioned one would be a table, which a node may not create.
   */
  async define(name: string, { policy, ...options }: Omit<Queue, "name" | "partition">): Promise<void> {
    await this.pgBoss.createQueue(name, { ...options, ...(policy !== undefined && { policy }) });
    await this.pgBoss.updateQueue(name, options);
  }

  /** Logs a failure of the database, at most once a minute. */
  logOutage(error: unknown): void {
    if (performance.now() < this.#quietUntil) return;
    this.#quietUntil = performance.now() + QUIET_MS;
    this.#options.log.warn(`${this.#options.label}: ${(error as Error).message}`);
  }

  /** Gives running attempts the grace to end, returns the others to their queue, and closes. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const { graceMs } = this.#options;
    const closed = this.#opening.then(() => this.pgBoss.stop({ timeout: graceMs }));
    // A database that does not answer must not keep a node from stopping.
    await atMost(
      graceMs + STOP_MS,
      closed.catch((error: unknown) => this.logOutage(error)),
    );
  }

  async #start(): Promise<void> {
    const signal = this.stopping;
    for (let wait = 250; !signal.aborted; wait = Math.min(2 * wait, 10_000)) {
      try {
        await this.pgBoss.start();
        await this.#options.setUp(this);
        this.#open = true;
        return;
      } catch (error) {
        if (!signal.aborted) this.logOutage(error);
        // After half a start, the next one would start twice what already runs.
        await this.pgBoss.stop({ graceful: false }).catch(() => {});
        await delay(wait, undefined, { signal }).catch(() => {});
      }
    }
  }
}
