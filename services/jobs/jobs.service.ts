import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { service } from "../../core/kit.ts";
import type { Boss } from "../../mixins/boss.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import type { JobsContract } from "./jobs.contract.ts";
import { PACE, type Pace } from "./pace.ts";
import { timetable } from "./timetable.ts";

/** Does what time brings about (timetable.ts), by whichever node that runs it is up. */
export default (config: Config, pace: Partial<Pace> = {}): ServiceSchema => {
  let boss: Promise<Boss> | null = null;

  return service<JobsContract, WithDatabase>({
    name: "jobs",
    mixins: [database(config)],
    actions: {},

    started() {
      const jobs = timetable(config, this.broker, this.db);
      // pg-boss is loaded only where it is needed, and nobody waits for it.
      boss = import("./job-queue.ts").then(({ serveJobs }) =>
        serveJobs(config, jobs, { ...PACE, ...pace }, this.logger),
      );
    },

    async stopped() {
      await (await boss)?.stop();
      boss = null;
    },
  });
};
