import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { service } from "../../core/kit.ts";
import { database } from "../../mixins/database.ts";
import { internalActions } from "./internal.actions.ts";
import { memberActions } from "./members.actions.ts";
import { projectActions } from "./projects.actions.ts";
import type { ProjectsContract } from "./projects.contract.ts";
import { projectMethods, type ProjectsLend } from "./projects.methods.ts";

/** Projects, their members, and the log of their events. */
export default (config: Config): ServiceSchema =>
  service<ProjectsContract, ProjectsLend>({
    name: "projects",
    mixins: [database(config)],
    methods: projectMethods(config),
    created() {
      this.unpurgeable = new Map();
    },
    actions: { ...projectActions, ...memberActions, ...internalActions },
  });
