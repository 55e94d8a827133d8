/** How mails are delivered. An operator has no reason to change it; tests do. */
export interface DeliveryOptions {
  /** Silence after which a node gives up on an SMTP server. */
  socketTimeoutMs: number;
  /** The longest that one attempt may take. */
  attemptTimeoutMs: number;
  /** Mails that a node sends at once. */
  concurrency: number;
  /** Between two looks into the queue. A mail that this node queued does not wait for it. */
  pollSeconds: number;
  /** Before the second attempt. The delay doubles up to `maxRetryDelaySeconds`. */
  retryDelaySeconds: number;
  maxRetryDelaySeconds: number;
  retryLimit: number;
  /** A mail that could not be sent for so long is dropped: the links in it have expired. */
  retentionSeconds: number;
  /** An attempt whose node died is repeated after this time. */
  expireSeconds: number;
  /** What a stopping node gives to running attempts. Attempts that it cuts off are repeated. */
  graceMs: number;
}

/** No mail is lost while the SMTP server is away for two hours: delays double from 5 seconds to 5 minutes. */
export const DELIVERY: DeliveryOptions = {
  socketTimeoutMs: 10_000,
  attemptTimeoutMs: 30_000,
  concurrency: 5,
  pollSeconds: 2,
  retryDelaySeconds: 5,
  maxRetryDelaySeconds: 300,
  retryLimit: 40,
  retentionSeconds: 3 * 60 * 60,
  expireSeconds: 60,
  graceMs: 5000,
};
