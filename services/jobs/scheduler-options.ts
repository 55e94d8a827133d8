/** How jobs run. An operator has no reason to change it; tests do. */
export interface SchedulerOptions {
  /** Between two looks for jobs that are due by their cron. */
  cronCheckSeconds: number;
  /** Between two looks for a queued job. */
  pollSeconds: number;
  /** A step that ran for so long begins no further batch; the next run goes on. */
  stepLimitMs: number;
  /** A run whose node died is repeated after this time, which is longer than all steps may take. */
  expireSeconds: number;
  /** Before the second attempt. The delay doubles up to `maxRetryDelaySeconds`. */
  retryDelaySeconds: number;
  maxRetryDelaySeconds: number;
  retryLimit: number;
  /** What a stopping node gives to the batch that runs. */
  graceMs: number;
}

/** A job outlives half an hour without the services that it calls. */
export const SCHEDULER: SchedulerOptions = {
  cronCheckSeconds: 30,
  pollSeconds: 5,
  stepLimitMs: 20_000,
  expireSeconds: 60,
  retryDelaySeconds: 2,
  maxRetryDelaySeconds: 60,
  retryLimit: 30,
  graceMs: 3000,
};
