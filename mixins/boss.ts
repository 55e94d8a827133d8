import { setTimeout as delay } from "node:timers/promises";
import { PgBoss, type Queue } from "pg-boss";
import { atMost } from "../core/at-most.ts";
import type { Config } from "../core/config.ts";
import type { Log } from "../core/log.ts";

/** Made by `npm run migrate` (migrations/jobs.ts): a node needs no right to change it. */
export const JOBS_SCHEMA = "jobs";
/** Milliseconds between two log lines about the database: while it is away, each look at it fails. */
const QUIET_MS = 60_000;
/** Seconds between two looks for attempts that expired and rows to delete. */
const SWEEP = 60;
/** Milliseconds beyond the grace after which a node stops though its database does not answer. */
const STOP_MS = 3000;

interface Options {
  /** Begins its log lines and names its connections: `mail queue`. */
  label: string;
  log: Log<"warn">;
  /** Milliseconds that attempts which run get to end in when the node stops. */
  grace: number;
  /** Seconds between two looks for what is due by a schedule, at most 45; without it, this node leaves that to others. */
  schedule?: number;
  /** Makes queues and workers. Called again, on a boss without workers, where it or what comes before it failed. */
  prepare(boss: Boss): Promise<void>;
}

/**
 * A node's part in pg-boss: queues in Postgres, in the schema `jobs`. Any number of nodes may serve the same queues.
 *
 * Opening goes on in the background, however long Postgres is away, and is complained of once a minute.
 */
export class Boss {
  readonly pg: PgBoss;
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
      max: Math.min(2, config.DATABASE_POOL),
      connectionTimeoutMillis: Math.ceil(config.DATABASE_TIMEOUT / 2),
      // pg-boss hands it to pg. A sweep is one query, and a slow disk may take its time.
      query_timeout: 15_000,
      keepAlive: true,
    };
    this.pg = new PgBoss({
      ...pool,
      schema: JOBS_SCHEMA,
      migrate: false,
      createSchema: false,
      superviseIntervalSeconds: SWEEP,
      monitorIntervalSeconds: SWEEP,
      maintenanceIntervalSeconds: SWEEP,
      // What else pg-boss could do is not needed.
      flowIntervalSeconds: 3600,
      schedule: options.schedule !== undefined,
      ...(options.schedule !== undefined && {
        cronMonitorIntervalSeconds: options.schedule,
        cronWorkerIntervalSeconds: Math.min(options.schedule, 5),
      }),
      registerInstance: false,
      reindex: false,
      monitorVacuum: false,
    });
    this.pg.on("error", (error) => this.complain(error));
    this.pg.on("warning", ({ message }) => options.log.warn(`${options.label}: ${message}`));
    this.#opening = this.#start();
  }

  /** Aborted as soon as the node stops. */
  get stopping(): AbortSignal {
    return this.#stopping.signal;
  }

  /** Waits until it is open, at most `ms` milliseconds. @returns whether it is */
  async opened(ms: number): Promise<boolean> {
    if (!this.#open) await atMost(ms, this.#opening);
    return this.#open;
  }

  /**
   * Makes a queue, or gives one that is there already these options. Its policy stays what it was made with. A queue is a
   * row: only a partitioned one would get a table, which a node may not create.
   */
  async queue(name: string, { policy, ...options }: Omit<Queue, "name" | "partition">): Promise<void> {
    await this.pg.createQueue(name, { ...options, ...(policy !== undefined && { policy }) });
    await this.pg.updateQueue(name, options);
  }

  /** Says that the database is away, once a minute. */
  complain(error: unknown): void {
    if (performance.now() < this.#quietUntil) return;
    this.#quietUntil = performance.now() + QUIET_MS;
    this.#options.log.warn(`${this.#options.label}: ${(error as Error).message}`);
  }

  /** Lets the attempts that run end within the grace, hands the others back to their queue, and closes. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const { grace } = this.#options;
    const closed = this.#opening.then(() => this.pg.stop({ timeout: grace }));
    // A database that does not answer must not keep a node from stopping.
    await atMost(
      grace + STOP_MS,
      closed.catch((error: unknown) => this.complain(error)),
    );
  }

  async #start(): Promise<void> {
    const signal = this.stopping;
    for (let wait = 250; !signal.aborted; wait = Math.min(2 * wait, 10_000)) {
      try {
        await this.pg.start();
        await this.#options.prepare(this);
        this.#open = true;
        return;
      } catch (error) {
        if (!signal.aborted) this.complain(error);
        // Half a start would stay so: what did start would not be started again, and workers would double.
        await this.pg.stop({ graceful: false }).catch(() => {});
        await delay(wait, undefined, { signal }).catch(() => {});
      }
    }
  }
}
