import { setTimeout as delay } from "node:timers/promises";
import { type JobResult, type JobWithMetadata, PgBoss } from "pg-boss";
import type { Config } from "../../core/config.ts";
import { Problem } from "../../core/errors.ts";
import { databaseProblem } from "../../mixins/database.ts";
import type { Mail } from "./mailer.contract.ts";
import type { Pace } from "./pace.ts";
import { type NotSent, openSmtp, type Smtp } from "./smtp.ts";

const SCHEMA = "jobs";
const QUEUE = "mail";
/** Milliseconds that a mail waits for a queue that is still being opened. */
const OPENING_MS = 1500;
/** Milliseconds between two log lines about the queue's database: while it is away, each look at it fails. */
const QUIET_MS = 60_000;
/** Seconds that a mail which could not be sent stays, text and all, before the next sweep removes it. */
const DELETE_AFTER = 60;
const SWEEP = 60;

interface Log {
  warn(...args: unknown[]): void;
  error(...args: unknown[]): void;
}

/**
 * Mails on their way, as pg-boss jobs in the schema `jobs`, which it creates itself. A row is deleted as soon as its
 * mail is sent, since mails carry one-time links. Any number of nodes may serve the queue at once.
 *
 * Opening goes on in the background, however long Postgres is away; `send` fails meanwhile.
 */
export class MailQueue {
  readonly #boss: PgBoss;
  readonly #smtp: Smtp;
  readonly #pace: Pace;
  readonly #log: Log;
  readonly #stopping = new AbortController();
  readonly #opening: Promise<void>;
  /** Null until the queue is open. */
  #worker: string | null = null;
  #quietUntil = 0;

  constructor(config: Config, pace: Pace, log: Log) {
    this.#pace = pace;
    this.#log = log;
    this.#smtp = openSmtp(config, pace);
    const pool = {
      connectionString: config.DATABASE_URL,
      application_name: `taskwire ${config.NODE_ID} mail`,
      max: Math.min(2, config.DATABASE_POOL),
      connectionTimeoutMillis: Math.ceil(config.DATABASE_TIMEOUT / 2),
      // pg-boss hands it to pg. Creating the schema is one query, and a slow disk may take its time.
      query_timeout: 15_000,
      keepAlive: true,
    };
    this.#boss = new PgBoss({
      ...pool,
      schema: SCHEMA,
      // Expired attempts and rows to delete are looked for each minute; what else pg-boss could do is not needed.
      superviseIntervalSeconds: SWEEP,
      monitorIntervalSeconds: SWEEP,
      maintenanceIntervalSeconds: SWEEP,
      flowIntervalSeconds: 3600,
      schedule: false,
      registerInstance: false,
      reindex: false,
      monitorVacuum: false,
    });
    this.#boss.on("error", (error) => this.#complain(error));
    this.#boss.on("warning", ({ message }) => log.warn(`mail queue: ${message}`));
    this.#opening = this.#open();
  }

  /** @throws Problem database-unavailable when Postgres does not take it; validation-failed for text that it cannot hold */
  async send(mail: Mail): Promise<void> {
    if (this.#worker === null) await this.#opened();
    try {
      await this.#boss.send(QUEUE, mail);
    } catch (error) {
      throw databaseProblem(error);
    }
    this.#boss.notifyWorker(this.#worker as unknown as string);
  }

  /** Lets the attempts that run end within the pace's grace, hands the others back to the queue, and closes. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const closed = this.#opening.then(() => this.#boss.stop({ timeout: this.#pace.grace }));
    const late = new AbortController();
    const limit = this.#pace.grace + 3000;
    await Promise.race([
      closed.catch((error: unknown) => this.#complain(error)),
      // A database that does not answer must not keep a node from stopping.
      delay(limit, undefined, { signal: late.signal }).catch(() => {}),
    ]);
    late.abort();
  }

  async #open(): Promise<void> {
    const { signal } = this.#stopping;
    for (let wait = 250; !signal.aborted; wait = Math.min(2 * wait, 10_000)) {
      try {
        await this.#boss.start();
        await this.#createQueue();
        this.#worker = await this.#work();
        return;
      } catch (error) {
        if (!signal.aborted) this.#complain(error);
        await delay(wait, undefined, { signal }).catch(() => {});
      }
    }
  }

  async #opened(): Promise<void> {
    const late = new AbortController();
    await Promise.race([
      this.#opening,
      delay(OPENING_MS, undefined, { signal: late.signal }).catch(() => {}),
    ]).finally(() => late.abort());
    if (this.#worker === null)
      throw new Problem("database-unavailable", undefined, { headers: { "Retry-After": "1" } });
  }

  async #createQueue(): Promise<void> {
    const { retries, retryDelay, retryMax, keep, expire } = this.#pace;
    const options = {
      retryLimit: retries,
      retryDelay,
      retryBackoff: true,
      retryDelayMax: retryMax,
      retentionSeconds: keep,
      expireInSeconds: expire,
      deleteAfterSeconds: DELETE_AFTER,
    };
    await this.#boss.createQueue(QUEUE, options);
    // A queue that is there already keeps its old options.
    await this.#boss.updateQueue(QUEUE, options);
  }

  /** One loop fetches for the whole node: one query each `poll` seconds, and no wait while there is more to fetch. */
  #work(): Promise<string> {
    const options = {
      batchSize: this.#pace.atOnce,
      burstWhenBatchFull: true,
      pollingIntervalSeconds: this.#pace.poll,
      includeMetadata: true,
      perJobResults: true,
    } as const;
    return this.#boss.work<Mail, undefined, typeof options>(QUEUE, options, (jobs) =>
      Promise.all(jobs.map((job) => this.#attempt(job))),
    );
  }

  async #attempt(job: JobWithMetadata<Mail>): Promise<JobResult> {
    const { id, data, signal, retryCount, retryLimit } = job;
    try {
      await this.#smtp.deliver(data, id, signal);
    } catch (error) {
      const { message, permanent } = error as NotSent;
      if (!permanent && retryCount < retryLimit) {
        this.#log.warn(`mail ${id} was not sent and is tried again: ${message}`);
        return { id, status: "failed", output: { message } };
      }
      this.#log.error(`mail ${id} was not sent and is dropped after ${retryCount + 1} attempts: ${message}`);
    }
    // Gone, text and all. Should this fail, the job is completed instead, and the sweep removes it.
    await this.#boss.deleteJob(QUEUE, job).catch((error: unknown) => this.#complain(error));
    return { id, status: "completed" };
  }

  #complain(error: unknown): void {
    if (performance.now() < this.#quietUntil) return;
    this.#quietUntil = performance.now() + QUIET_MS;
    this.#log.warn(`mail queue: ${(error as Error).message}`);
  }
}
