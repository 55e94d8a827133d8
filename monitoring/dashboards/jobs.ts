/** Jobs, mails and the age of the log. */
import type { Dashboard } from "../grafana.ts";
import { lines, query } from "./panels.ts";

const JOBS = "taskwire_job_duration_seconds";

export const jobs: Dashboard = {
  uid: "taskwire-jobs",
  title: "Taskwire: jobs and mails",
  panels: [
    lines({
      title: "Runs in an hour",
      description:
        "By job; `mail` are attempts to send one. announce-due and forget-categories run each minute.",
      unit: "short",
      queries: [query(`sum by (queue) (increase(${JOBS}_count[1h]))`, "{{queue}}")],
    }),
    lines({
      title: "Failures in an hour",
      description: "Each is tried again by itself.",
      unit: "short",
      limit: 3,
      emptyWhenHealthy: "no job fails",
      queries: [query(`sum by (queue) (increase(${JOBS}_count{outcome="failed"}[1h]))`, "{{queue}}")],
    }),
    lines({
      title: "Waiting",
      description: "Jobs and mails that are due.",
      unit: "short",
      queries: [query("max by (queue) (taskwire_jobs_waiting)", "{{queue}}")],
    }),
    lines({
      title: "Time of a run",
      description: "The mean over an hour.",
      unit: "s",
      queries: [
        query(
          `sum by (queue) (increase(${JOBS}_sum[1h])) / (sum by (queue) (increase(${JOBS}_count[1h])) > 0)`,
          "{{queue}}",
        ),
      ],
    }),
    lines({
      title: "Oldest event",
      description: "Its age, and the age at which events are forgotten.",
      unit: "s",
      queries: [
        query("max(taskwire_oldest_event_age_seconds)", "oldest"),
        query("max(taskwire_event_retention_seconds)", "kept for"),
      ],
    }),
  ],
};
