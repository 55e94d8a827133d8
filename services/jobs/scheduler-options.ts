/** How jobs run. An operator has no reason to change it; tests do. */
export interface SchedulerOptions {
  /** Seconds between two checks for jobs that their cron makes due. */
  cronCheckSeconds: number;
  /** Seconds between two checks for a queued job. */
  pollSeconds: number;
  /** Milliseconds after which a step begins no further batch; the next run goes on. */
  stepLimitMs: number;
  /** Seconds after which a run whose node died is repeated: more than all steps may take. */
  expireSeconds: number;
  /** Seconds before the second attempt. The delay doubles up to `maxRetryDelaySeconds`. */
  retryDelaySeconds: number;
  maxRetryDelaySeconds: number;
  retryLimit: number;
  /** Milliseconds that a stopping node gives to the batch that runs. */
  graceMs: number;
}

/** With these retries a job outlives half an hour without the services that it calls. */
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
