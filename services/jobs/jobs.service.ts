import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { service } from "../../core/kit.ts";
import { metricsOf } from "../../core/metrics.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { measureJobs } from "../../mixins/job-metrics.ts";
import type { JobQueues } from "../../mixins/job-queues.ts";
import type { JobsContract } from "./jobs.contract.ts";
import { measureRetention } from "./retention-metrics.ts";
import { scheduledJobs } from "./scheduled-jobs.ts";
import { SCHEDULER, type SchedulerOptions } from "./scheduler-options.ts";

/** Runs the jobs of scheduled-jobs.ts. Any number of nodes may run this service. */
export default (config: Config, options: Partial<SchedulerOptions> = {}): ServiceSchema => {
  let scheduler: Promise<JobQueues> | null = null;

  return service<JobsContract, WithDatabase>({
    name: "jobs",
    mixins: [database(config, { cache: false })],
    actions: {},

    started() {
      const jobs = scheduledJobs(config, this.broker, this.db);
      const metrics = measureJobs(this.broker, this.db);
      measureRetention(metricsOf(this.broker), this.db, config.EVENT_RETENTION_DAYS);
      // Loads pg-boss only on nodes that need it, and does not delay the node's start.
      scheduler = import("./scheduler.ts").then(({ startScheduler }) =>
        startScheduler(config, jobs, { ...SCHEDULER, ...options }, this, metrics),
      );
    },

    async stopped() {
      await (await scheduler)?.stop();
      scheduler = null;
    },
  });
};
