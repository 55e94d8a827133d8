/** Actions that other services and jobs call. */
import type { Config } from "../../core/config.ts";
import { type Actor, actionsOf, type UserContext } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { announceDue, purgeTasks, unassignUser } from "./batches.commands.ts";
import { spreadPositions } from "./positions.commands.ts";
import type { TasksContract } from "./tasks.contract.ts";
import type { TasksLend } from "./tasks.methods.ts";
import { countByStatus } from "./tasks.queries.ts";

const HOUR_MS = 3_600_000;

export const internalActions = ({ DUE_SOON_HOURS }: Pick<Config, "DUE_SOON_HOURS">) =>
  actionsOf<TasksContract, TasksLend>()({
    count_by_status: {
      auth: "internal",
      safe: true,
      rules: { project_id: rules.id },
      handler(ctx) {
        return countByStatus(this.db, ctx.params.project_id, ctx.locals.actor?.id, this.totals);
      },
    },

    /** In the name of the user who erased the account. May be repeated. */
    unassign_user: {
      auth: "internal",
      rules: { user_id: rules.id, by: rules.id },
      async handler(ctx) {
        const { user_id, by } = ctx.params;
        const actor: Actor = { id: by, role: "user", session: by };
        return this.publishBatch(
          await unassignUser(this.db, user_id, { ...writeContext(ctx as UserContext), actor }),
        );
      },
    },

    announce_due: {
      auth: "internal",
      rules: {},
      async handler() {
        const now = Date.now();
        const until = new Date(now + DUE_SOON_HOURS * HOUR_MS).toISOString();
        return this.publishBatch(await announceDue(this.db, until, new Date(now).toISOString()));
      },
    },

    spread_positions: {
      auth: "internal",
      rules: {},
      async handler() {
        return this.publishBatch(await spreadPositions(this.db, new Date().toISOString()));
      },
    },

    purge: {
      auth: "internal",
      rules: { before: { ...rules.timestamp, optional: true }, project_id: rules.optionalId },
      handler(ctx) {
        const { before, project_id } = ctx.params;
        return purgeTasks(this.db, { before: before ?? null, projectId: project_id ?? null });
      },
    },
  });
