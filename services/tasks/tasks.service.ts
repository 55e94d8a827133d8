import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { service } from "../../core/kit.ts";
import { database } from "../../mixins/database.ts";
import { bulkActions } from "./bulk.actions.ts";
import { categoryActions } from "./categories.actions.ts";
import { commentActions } from "./comments.actions.ts";
import { internalActions } from "./internal.actions.ts";
import { taskActions } from "./tasks.actions.ts";
import { snapshotActions } from "./snapshots.actions.ts";
import { Snapshots } from "./snapshots.ts";
import { Standings } from "./standings.ts";
import type { TasksContract } from "./tasks.contract.ts";
import { methods, type TasksLend } from "./tasks.methods.ts";
import { Totals } from "./totals.ts";

/** Tasks, their comments, and the categories that people put them in. */
export default (config: Config): ServiceSchema =>
  service<TasksContract, TasksLend>({
    name: "tasks",
    mixins: [database(config)],
    methods,
    actions: {
      ...taskActions,
      ...snapshotActions,
      ...bulkActions,
      ...commentActions,
      ...categoryActions,
      ...internalActions(config),
    },
    created() {
      this.snapshots = new Snapshots(this.db, this.broker.nodeID);
      this.totals = new Totals();
      this.standings = new Standings(this.db);
    },
    stopped() {
      return this.snapshots.close();
    },
  });
