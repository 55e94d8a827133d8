import type { Service } from "moleculer";
import type { Config } from "../../core/config.ts";
import type { CommittedEvent } from "../../core/events.ts";
import type { UserContext } from "../../core/kit.ts";
import type { WithDatabase } from "../../mixins/database.ts";
import { emitCommitted } from "../../mixins/event-log.ts";
import { tasks } from "../tasks/tasks.contract.ts";
import type { VisibleProject } from "./projects.columns.ts";
import type { Project } from "./projects.contract.ts";
import { projectView } from "./projects.view.ts";

const DAY_MS = 86_400_000;

/** The `this` of the actions. */
export interface ProjectsLend extends WithDatabase {
  /** Hands a write's events to the notifiers. Never throws. */
  publish(events: CommittedEvent[]): void;
  /** The project with the numbers of its tasks. */
  detail(ctx: UserContext, project: VisibleProject): Promise<Project>;
  /** A project that was deleted before this time (ISO 8601) can't be restored. */
  retentionStart(): string;
  /** Projects whose purge failed, and why. */
  unpurgeable: Map<string, Error>;
}

type Projects = Service & ProjectsLend;

export const projectMethods = (config: Config) => ({
  publish(this: Projects, events: CommittedEvent[]): void {
    emitCommitted(this.broker, events);
  },

  async detail(this: Projects, ctx: UserContext, project: VisibleProject): Promise<Project> {
    return projectView(project, await tasks.call(ctx, "count_by_status", { project_id: project.id }));
  },

  retentionStart: (): string => new Date(Date.now() - config.RETENTION_DAYS * DAY_MS).toISOString(),
});
