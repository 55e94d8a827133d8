import type { Config } from "../../core/config.ts";
import type { Caller } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { forgetOldEvents } from "../../mixins/event-log.erasure.ts";
import { forgetResponses } from "../../mixins/idempotency.ts";
import { projects } from "../projects/projects.contract.ts";
import { tasks } from "../tasks/tasks.contract.ts";

export interface ScheduledJob {
  /** Also the name of its queue. */
  name: string;
  /** When it is due, in UTC. */
  cron: string;
  /** Each call does one batch and returns whether there may be more; without more, the next step begins. */
  steps: (() => Promise<boolean>)[];
}

const DAY_MS = 86_400_000;

const daysAgo = (days: number): string => new Date(Date.now() - days * DAY_MS).toISOString();

/** The jobs and their schedules. A batch may run twice or end half-way: the next one finds only what is left to do. */
export function scheduledJobs(
  { RETENTION_DAYS, EVENT_RETENTION_DAYS }: Config,
  caller: Caller,
  db: Queryable,
): ScheduledJob[] {
  /** Tasks and projects that were deleted before this time are purged. */
  const retention = () => ({ before: daysAgo(RETENTION_DAYS) });
  return [
    {
      name: "announce-due",
      cron: "* * * * *",
      steps: [() => tasks.call(caller, "announce_due", {})],
    },
    {
      name: "forget-categories",
      cron: "* * * * *",
      steps: [() => tasks.call(caller, "forget_categories", {})],
    },
    {
      name: "spread-positions",
      cron: "* * * * *",
      steps: [() => tasks.call(caller, "spread_positions", {})],
    },
    {
      name: "purge-deleted",
      cron: "7 * * * *",
      steps: [
        () => tasks.call(caller, "purge", retention()),
        () => projects.call(caller, "purge", retention()),
      ],
    },
    {
      name: "forget-events",
      cron: "37 * * * *",
      steps: [() => forgetOldEvents(db, daysAgo(EVENT_RETENTION_DAYS))],
    },
    {
      name: "forget-answers",
      cron: "*/5 * * * *",
      steps: [async () => (await forgetResponses(db)) > 0],
    },
  ];
}
