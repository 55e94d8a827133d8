import type { Config } from "../../core/config.ts";
import type { Log } from "../../core/log.ts";
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

/**
 * Serves jobs by pg-boss' schedules and queues. One of the nodes that do so queues a job when it is due, and one runs it.
 * A job that is due again while it waits, runs or is retried is not queued a second time (`exclusive`). A job that was due
 * while no node was up runs once when a node starts.
 */
export const startScheduler = (
  config: Config,
  jobs: ScheduledJob[],
  options: SchedulerOptions,
  log: Log<"warn">,
): JobQueues =>
  new JobQueues(config, {
    label: "job queue",
    log,
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
          try {
            await run(job, options, AbortSignal.any([attempt.signal, queues.stopping]));
          } catch (error) {
            if (!queues.stopping.aborted) log.warn(`job ${job.name} failed: ${(error as Error).message}`);
            // pg-boss tries the job again.
            throw error;
          }
        });
    },
  });
