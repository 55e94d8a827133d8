/** How fast mails go out, and for how long one is tried. What an operator has no reason to turn, and a test has. */
export interface Pace {
  /** Milliseconds without a sign of life after which an SMTP server is given up on. */
  silence: number;
  /** Milliseconds that one attempt may take in all. */
  attempt: number;
  /** Mails that a node sends at once. */
  atOnce: number;
  /** Seconds between two looks into the queue; a mail that this node itself took in does not wait for it. */
  poll: number;
  /** Seconds before the second attempt. The wait doubles up to `retryMax`. */
  retryDelay: number;
  retryMax: number;
  retries: number;
  /** Seconds after which a mail that could not be sent is dropped: the links in mails have expired by then. */
  keep: number;
  /** Seconds after which an attempt whose node died is made again. */
  expire: number;
  /** Milliseconds that a node which stops gives to the attempts that run; those it cuts off are made again. */
  grace: number;
}

/** An outage of the SMTP server of two hours loses no mail: waits double from 5 seconds and stay at 5 minutes. */
export const PACE: Pace = {
  silence: 10_000,
  attempt: 30_000,
  atOnce: 5,
  poll: 2,
  retryDelay: 5,
  retryMax: 300,
  retries: 40,
  keep: 3 * 60 * 60,
  expire: 60,
  grace: 5000,
};
