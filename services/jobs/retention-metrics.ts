import { type Metrics, readNowAndThen } from "../../core/metrics.ts";
import type { Queryable } from "../../mixins/database.ts";
import { oldestToForget } from "../../mixins/event-log.erasure.ts";

const DAY_S = 86_400;
/** Milliseconds that the age is good for: it changes when the job runs, each hour. */
const READ_EVERY_MS = 600_000;

/** Declares how old the log gets, and how old it may get: an age far beyond says that `forget-events` is behind. */
export function measureRetention(metrics: Metrics, db: Queryable, retentionDays: number): void {
  metrics.gauge(
    "taskwire_event_retention_seconds",
    "How long events are kept",
    [],
    () => retentionDays * DAY_S,
  );
  const oldest = readNowAndThen(READ_EVERY_MS, () => oldestToForget(db));
  metrics.gauge(
    "taskwire_oldest_event_age_seconds",
    "Age of the oldest event that can be forgotten",
    [],
    () => {
      const time = oldest();
      return time === null ? null : Math.max(0, Date.now() - Date.parse(time)) / 1000;
    },
  );
}
