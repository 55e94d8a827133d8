import type { Service } from "moleculer";
import type { JobResult, JobWithMetadata } from "pg-boss";
import type { Config } from "../../core/config.ts";
import { retryLater } from "../../core/errors.ts";
import { begin, cameFrom, type Origin, originHere, traced } from "../../core/trace.ts";
import type { JobMetrics } from "../../mixins/job-metrics.ts";
import { JobQueues } from "../../mixins/job-queues.ts";
import { databaseProblem } from "../../mixins/database-errors.ts";
import type { DeliveryOptions } from "./delivery-options.ts";
import type { Mail } from "./mailer.contract.ts";
import { type NotSent, openSmtp, type Smtp } from "./smtp.ts";

const QUEUE = "mail";
/** Milliseconds that a mail waits for a queue that is not open yet. */
const OPENING_MS = 1500;
/** Seconds that a mail which could not be sent stays with its text before the next sweep removes it. */
const KEEP_UNSENT_S = 60;

interface QueuedMail extends Mail {
  /** The request that asked for the mail; absent from mails that an older version queued. */
  origin?: Origin | null;
}

/**
 * The mails to be sent, as pg-boss jobs. A row is deleted as soon as its mail is sent, because it holds a one-time token.
 * Any number of nodes may serve the queue at once.
 */
export class MailQueue {
  readonly #queues: JobQueues;
  readonly #smtp: Smtp;
  readonly #options: DeliveryOptions;
  readonly #service: Service;
  readonly #metrics: JobMetrics;
  #worker = "";

  constructor(config: Config, options: DeliveryOptions, service: Service, metrics: JobMetrics) {
    this.#metrics = metrics;
    this.#options = options;
    this.#service = service;
    this.#smtp = openSmtp(config, options);
    this.#queues = new JobQueues(config, {
      label: "mail queue",
      log: service.logger,
      graceMs: options.graceMs,
      setUp: (queues) => this.#serve(queues),
    });
  }

  /** @throws Problem database-unavailable while Postgres is away; validation-failed for text that it cannot store */
  async send(mail: Mail): Promise<void> {
    if (!(await this.#queues.waitUntilOpen(OPENING_MS))) throw retryLater("database-unavailable");
    try {
      await traced("queue mail", "producer", {}, () => {
        const queued: QueuedMail = { ...mail, origin: originHere() };
        return this.#queues.pgBoss.send(QUEUE, queued);
      });
    } catch (error) {
      throw databaseProblem(error);
    }
    this.#queues.pgBoss.notifyWorker(this.#worker);
  }

  /** Gives running attempts the grace to end, returns the others to the queue, and closes. */
  stop(): Promise<void> {
    return this.#queues.stop();
  }

  async #serve(queues: JobQueues): Promise<void> {
    const { retryLimit, retryDelaySeconds, maxRetryDelaySeconds, retentionSeconds, expireSeconds } =
      this.#options;
    await queues.define(QUEUE, {
      retryLimit,
      retryDelay: retryDelaySeconds,
      retryBackoff: true,
      retryDelayMax: maxRetryDelaySeconds,
      retentionSeconds,
      expireInSeconds: expireSeconds,
      deleteAfterSeconds: KEEP_UNSENT_S,
    });
    // One loop fetches for the whole node: one query per `pollSeconds`, and no pause while there are more mails.
    const options = {
      batchSize: this.#options.concurrency,
      burstWhenBatchFull: true,
      pollingIntervalSeconds: this.#options.pollSeconds,
      includeMetadata: true,
      perJobResults: true,
    } as const;
    this.#worker = await queues.pgBoss.work<QueuedMail, undefined, typeof options>(QUEUE, options, (jobs) =>
      Promise.all(jobs.map((job) => this.#begin(job))),
    );
  }

  /** An attempt belongs to the request that asked for the mail, whichever node makes it. */
  #begin(job: JobWithMetadata<QueuedMail>): Promise<JobResult> {
    const beginning = {
      service: this.#service,
      name: "send mail",
      kind: "consumer",
      ...cameFrom(job.data.origin, job.id),
    } as const;
    return begin(beginning, () => this.#attempt(job));
  }

  async #attempt(job: JobWithMetadata<QueuedMail>): Promise<JobResult> {
    const { id, data, signal, retryCount, retryLimit } = job;
    const began = performance.now();
    const end = (outcome: "done" | "failed") =>
      this.#metrics.ended(QUEUE, outcome, performance.now() - began);
    try {
      await traced("smtp", "client", {}, () => this.#smtp.deliver(data, id, signal));
      end("done");
      this.#service.logger.info(`mail ${id} was sent`);
    } catch (error) {
      end("failed");
      const { message, permanent } = error as NotSent;
      if (!permanent && retryCount < retryLimit) {
        this.#service.logger.warn(`mail ${id} was not sent and is tried again: ${message}`);
        return { id, status: "failed", output: { message } };
      }
      this.#service.logger.error(
        `mail ${id} was not sent and is dropped after ${retryCount + 1} attempts: ${message}`,
      );
    }
    // Deletes the mail with its text. If that fails, the job is completed instead, and the sweep removes it.
    await this.#queues.pgBoss.deleteJob(QUEUE, job).catch((error: unknown) => this.#queues.logOutage(error));
    return { id, status: "completed" };
  }
}
