import type { Config } from "../../core/config.ts";
import type { Log } from "../../core/log.ts";
import { Boss } from "../../mixins/boss.ts";
import type { Pace } from "./pace.ts";
import type { Job } from "./timetable.ts";

/** Seconds that a finished run's row stays, for whoever wants to know. */
const DELETE_AFTER = 3600;

/** Runs one job, as far as it gets. @param signal ends it after the batch that runs */
async function run({ steps }: Job, { step: limit }: Pace, signal: AbortSignal): Promise<void> {
  for (const step of steps) {
    const end = performance.now() + limit;
    let more = true;
    while (more && !signal.aborted && performance.now() < end) more = await step();
  }
}

/**
 * Serves the timetable as pg-boss schedules and jobs: of the nodes that do, one sends a job when it is due, and one runs
 * it. A job that is due again while it waits, runs, or is about to be tried again is not queued a second time
 * (`exclusive`). One that was due while no node was there is run once when there is.
 */
export const serveJobs = (config: Config, jobs: Job[], pace: Pace, log: Log<"warn">): Boss =>
  new Boss(config, {
    label: "job queue",
    log,
    grace: pace.grace,
    schedule: pace.schedule,
    async prepare(boss) {
      const { retries, retryDelay, retryMax, expire, poll } = pace;
      for (const job of jobs) {
        await boss.queue(job.name, {
          policy: "exclusive",
          retryLimit: retries,
          retryDelay,
          retryBackoff: true,
          retryDelayMax: retryMax,
          expireInSeconds: expire,
          deleteAfterSeconds: DELETE_AFTER,
        });
        await boss.pg.schedule(job.name, job.cron, null, { missed: "once" });
      }
      for (const job of jobs)
        await boss.pg.work(job.name, { pollingIntervalSeconds: poll }, async ([attempt]) => {
          if (attempt === undefined) return;
          try {
            await run(job, pace, AbortSignal.any([attempt.signal, boss.stopping]));
          } catch (error) {
            if (!boss.stopping.aborted) log.warn(`job ${job.name} failed: ${(error as Error).message}`);
            // Tried again.
            throw error;
          }
        });
    },
  });
