import type { Config } from "../../core/config.ts";
import type { Caller } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { forgetResponses } from "../../mixins/idempotency.ts";
import { projects } from "../projects/projects.contract.ts";
import { tasks } from "../tasks/tasks.contract.ts";

export interface Job {
  /** Its queue's name. */
  name: string;
  /** When it is due, in UTC. */
  cron: string;
  /** Each does one batch and returns whether there may be more; the next begins where there is none. */
  steps: (() => Promise<boolean>)[];
}

/** What is due when. Each may be done twice, or begun and not ended: what is done already is not found again. */
export function timetable({ RETENTION_DAYS }: Config, caller: Caller, db: Queryable): Job[] {
  /** What was deleted before is gone for good. */
  const retention = () => ({ before: new Date(Date.now() - RETENTION_DAYS * 86_400_000).toISOString() });
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
      name: "purge-deleted",
      cron: "7 * * * *",
      steps: [
        () => tasks.call(caller, "purge", retention()),
        () => projects.call(caller, "purge", retention()),
      ],
    },
    {
      name: "forget-answers",
      cron: "*/5 * * * *",
      steps: [async () => (await forgetResponses(db)) > 0],
    },
  ];
}
