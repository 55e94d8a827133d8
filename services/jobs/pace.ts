/** How jobs are run. What an operator has no reason to turn, and a test has. */
export interface Pace {
  /** Seconds between two looks at the timetable. */
  schedule: number;
  /** Seconds between two looks for a job that waits. */
  poll: number;
  /** Milliseconds after which a step of a run begins no further batch, and leaves the rest to the next run. */
  step: number;
  /** Seconds after which a run whose node died is made again: more than its steps may take. */
  expire: number;
  /** Seconds before the second attempt. The wait doubles up to `retryMax`. */
  retryDelay: number;
  retryMax: number;
  retries: number;
  /** Milliseconds that a node which stops gives to the batch that runs. */
  grace: number;
}

/** A service that is away for half an hour keeps no job from its turn. */
export const PACE: Pace = {
  schedule: 30,
  poll: 5,
  step: 20_000,
  expire: 60,
  retryDelay: 2,
  retryMax: 60,
  retries: 30,
  grace: 3000,
};
