/** What a node measures of the jobs and mails that it runs (docs/metrics.md). */
import type { ServiceBroker } from "moleculer";
import { metricsOf, readNowAndThen } from "../core/metrics.ts";
import type { Queryable } from "./database.ts";
import { JOBS_SCHEMA } from "./job-queues.ts";

/** Milliseconds that a count of what waits is good for. */
const COUNT_EVERY_MS = 5000;
/** Bounds of jobs in seconds. */
const JOB_SECONDS = [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 20, 60];

/** Jobs and mails that are due and wait, by their queue. Plan: job_common_i11, pg-boss' index of what waits. */
export async function countWaiting(db: Queryable): Promise<(readonly [{ queue: string }, number])[]> {
  const rows = await db.query<{ queue: string; waiting: number }>({
    name: "jobs-waiting",
    slow: "bounded",
    text: `SELECT q.name AS queue, count(j.id)::int AS waiting
           FROM ${JOBS_SCHEMA}.queue q
           LEFT JOIN ${JOBS_SCHEMA}.job j
             ON j.name = q.name AND j.state < 'active' AND NOT j.blocked AND j.start_after <= now()
           WHERE NOT starts_with(q.name, '__pgboss')
           GROUP BY q.name`,
  });
  return rows.map(({ queue, waiting }) => [{ queue }, waiting] as const);
}

export interface JobMetrics {
  /** A run of a job, or an attempt to send a mail, took so many milliseconds. */
  ended(queue: string, outcome: "done" | "failed", ms: number): void;
}

/** Declares the metrics of jobs. Two services of one node share them. Prometheus itself has a label `job`, of its targets. */
export function measureJobs(broker: ServiceBroker, db: Queryable): JobMetrics {
  const metrics = metricsOf(broker);
  metrics.gauge(
    "taskwire_jobs_waiting",
    "Jobs and mails that are due and wait",
    ["queue"],
    readNowAndThen(COUNT_EVERY_MS, () => countWaiting(db)),
  );
  const seconds = metrics.histogram(
    "taskwire_job_duration_seconds",
    "Runs of jobs, and attempts to send a mail",
    ["queue", "outcome"],
    JOB_SECONDS,
  );
  return { ended: (queue, outcome, ms) => seconds.observe({ queue, outcome }, ms / 1000) };
}
