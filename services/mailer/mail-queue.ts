import type { JobResult, JobWithMetadata } from "pg-boss";
import type { Config } from "../../core/config.ts";
import { retryLater } from "../../core/errors.ts";
import type { Log } from "../../core/log.ts";
import { Boss } from "../../mixins/boss.ts";
import { databaseProblem } from "../../mixins/database.ts";
import type { Mail } from "./mailer.contract.ts";
import type { Pace } from "./pace.ts";
import { type NotSent, openSmtp, type Smtp } from "./smtp.ts";

const QUEUE = "mail";
/** Milliseconds that a mail waits for a queue that is still being opened. */
const OPENING_MS = 1500;
/** Seconds that a mail which could not be sent stays, text and all, before the next sweep removes it. */
const DELETE_AFTER = 60;

/**
 * Mails on their way, as pg-boss jobs. A row is deleted as soon as its mail is sent, since mails carry one-time links.
 * Any number of nodes may serve the queue at once. While it is being opened, `send` fails.
 */
export class MailQueue {
  readonly #boss: Boss;
  readonly #smtp: Smtp;
  readonly #pace: Pace;
  readonly #log: Log<"warn" | "error">;
  #worker = "";

  constructor(config: Config, pace: Pace, log: Log<"warn" | "error">) {
    this.#pace = pace;
    this.#log = log;
    this.#smtp = openSmtp(config, pace);
    this.#boss = new Boss(config, {
      label: "mail queue",
      log,
      grace: pace.grace,
      prepare: (boss) => this.#serve(boss),
    });
  }

  /** @throws Problem database-unavailable when Postgres does not take it; validation-failed for text that it cannot hold */
  async send(mail: Mail): Promise<void> {
    if (!(await this.#boss.opened(OPENING_MS))) throw retryLater("database-unavailable");
    try {
      await this.#boss.pg.send(QUEUE, mail);
    } catch (error) {
      throw databaseProblem(error);
    }
    this.#boss.pg.notifyWorker(this.#worker);
  }

  /** Lets the attempts that run end within the pace's grace, hands the others back to the queue, and closes. */
  stop(): Promise<void> {
    return this.#boss.stop();
  }

  async #serve(boss: Boss): Promise<void> {
    const { retries, retryDelay, retryMax, keep, expire, atOnce, poll } = this.#pace;
    await boss.queue(QUEUE, {
      retryLimit: retries,
      retryDelay,
      retryBackoff: true,
      retryDelayMax: retryMax,
      retentionSeconds: keep,
      expireInSeconds: expire,
      deleteAfterSeconds: DELETE_AFTER,
    });
    // One loop fetches for the whole node: one query each `poll` seconds, and no wait while there is more to fetch.
    const options = {
      batchSize: atOnce,
      burstWhenBatchFull: true,
      pollingIntervalSeconds: poll,
      includeMetadata: true,
      perJobResults: true,
    } as const;
    this.#worker = await boss.pg.work<Mail, undefined, typeof options>(QUEUE, options, (jobs) =>
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
    await this.#boss.pg.deleteJob(QUEUE, job).catch((error: unknown) => this.#boss.complain(error));
    return { id, status: "completed" };
  }
}
