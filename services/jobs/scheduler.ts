import type { Service } from "moleculer";
import type { Config } from "../../core/config.ts";
import { problemCode } from "../../core/errors.ts";
import type { Log } from "../../core/log.ts";
import { begin } from "../../core/trace.ts";
import type { JobMetrics } from "../../mixins/job-metrics.ts";
import { JobQueues } from "../../mixins/job-queues.ts";
import type { ScheduledJob } from "./scheduled-jobs.ts";
import type { SchedulerOptions } from "./scheduler-options.ts";

/** The row of a finished run stays for so long, for operators to look at. */
const KEEP_FINISHED_S = 3600;

/** Runs one job until its steps are done or out of time. @param signal ends it after the batch that runs */
async function run(
  { steps }: ScheduledJob,
  { stepLimitMs }: SchedulerOptions,
  signal: AbortSignal,
): Promise<void> {
  for (const step of steps) {
    const deadline = performance.now() + stepLimitMs;
    let more = true;
    while (more && !signal.aborted && performance.now() < deadline) more = await step();
  }
}

/** A fault is logged with its stack, and reported. A database or a service that is away is none: its outage is known. */
function logFailure(log: Log<"warn" | "error">, name: string, error: unknown): void {
  const isAway = problemCode(error) !== null || (error as { retryable?: boolean }).retryable === true;
  if (isAway) log.warn(`job ${name} failed: ${(error as Error).message}`);
  else log.error(`job ${name} failed`, error);
}

/**
 * Serves jobs by pg-boss' schedules and queues. One of the nodes that do so queues a job when it is due, and one runs it.
 * A job that is due again while it waits, runs or is retried is not queued a second time (`exclusive`). A job that was due
 * while no node was up runs once when a node starts.
 */
export const startScheduler = (
  config: Config,
  jobs: ScheduledJob[],
  options: SchedulerOptions,
  service: Service,
  metrics: JobMetrics,
): JobQueues =>
  new JobQueues(config, {
    label: "job queue",
    log: service.logger,
    graceMs: options.graceMs,
    cronCheckSeconds: options.cronCheckSeconds,
    async setUp(queues) {
      const { retryLimit, retryDelaySeconds, maxRetryDelaySeconds, expireSeconds, pollSeconds } = options;
      for (const job of jobs) {
        await queues.define(job.name, {
          policy: "exclusive",
          retryLimit,
          retryDelay: retryDelaySeconds,
          retryBackoff: true,
          retryDelayMax: maxRetryDelaySeconds,
          expireInSeconds: expireSeconds,
          deleteAfterSeconds: KEEP_FINISHED_S,
        });
        await queues.pgBoss.schedule(job.name, job.cron, null, { missed: "once" });
      }
      for (const job of jobs)
        await queues.pgBoss.work(job.name, { pollingIntervalSeconds: pollSeconds }, async ([attempt]) => {
          if (attempt === undefined) return;
          const beginning = {
            service,
            name: `job ${job.name}`,
            kind: "consumer",
            requestId: attempt.id,
            parent: null,
          } as const;
          const began = performance.now();
          const end = (outcome: "done" | "failed") =>
            metrics.ended(job.name, outcome, performance.now() - began);
          await begin(beginning, async () => {
            try {
              await run(job, options, AbortSignal.any([attempt.signal, queues.stopping]));
              end("done");
            } catch (error) {
              end("failed");
              if (!queues.stopping.aborted) logFailure(service.logger, job.name, error);
              // pg-boss tries the job again.
              throw error;
            }
          });
        });
    },
  });
