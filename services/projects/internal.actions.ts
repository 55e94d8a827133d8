/** Actions that other services call. No client reaches them. */
import { Problem, problemCode, type ProblemCode } from "../../core/errors.ts";
import { type Actor, actionsOf, type UserContext } from "../../core/kit.ts";
import * as rules from "../../core/rules.ts";
import { writeContext } from "../../mixins/event-log.ts";
import { tasks } from "../tasks/tasks.contract.ts";
import { changeMember } from "./members.commands.ts";
import { findHeir, findSoleOwned, listProjectIds } from "./members.queries.ts";
import { purgeProject } from "./projects.commands.ts";
import type { ProjectRole, ProjectsContract } from "./projects.contract.ts";
import type { ProjectsLend } from "./projects.methods.ts";
import { findPurgeable, readableProjects } from "./projects.queries.ts";

/** Problems that keep a user in a project: they are its only member, it is archived, or it is gone. */
const STAYS: (ProblemCode | null)[] = ["conflict", "project-archived", "not-found"];

export const internalActions = actionsOf<ProjectsContract, ProjectsLend>()({
  /**
   * The user leaves each project as if by a request of their own. A project that the user came to own alone meanwhile gets
   * another owner first. A project stays theirs if nobody else is in it, or if it is archived. It may be repeated.
   */
  leave_all: {
    auth: "internal",
    rules: { user_id: rules.id },
    async handler(ctx) {
      const { user_id } = ctx.params;
      const leaver: Actor = { id: user_id, role: "user", session: user_id };
      const write = writeContext(ctx as UserContext);
      const change = async (project: string, id: string, to: ProjectRole | null, actor: Actor) => {
        const person = { id, username: "", first_name: null, last_name: null };
        const as = { ...write, actor };
        const { events } = await changeMember(this.db, project, person, { expects: "member", to }, as);
        this.publish(events);
      };
      const failures: unknown[] = [];
      for (const project of await listProjectIds(this.db, user_id))
        try {
          const heir = await findHeir(this.db, project, user_id);
          if (heir !== null) await change(project, heir, "owner", { ...leaver, role: "admin" });
          await change(project, user_id, null, leaver);
        } catch (error) {
          if (!STAYS.includes(problemCode(error))) failures.push(error);
        }
      if (failures.length > 0) throw failures[0];
    },
  },

  /** The auth service asks before it limits a personal token to these projects. */
  readable: {
    auth: "internal",
    safe: true,
    rules: { ids: { type: "array", items: "uuid", max: 1000 } },
    handler(ctx) {
      if (ctx.locals.actor === null) throw new Problem("unauthenticated");
      return readableProjects(this.db, ctx.locals.actor, ctx.params.ids);
    },
  },

  /** The users service asks before it closes an account: no project may be left without an owner. */
  sole_owner_of: {
    auth: "internal",
    safe: true,
    rules: { user_id: rules.id },
    handler(ctx) {
      return findSoleOwned(this.db, ctx.params.user_id);
    },
  },

  /**
   * Removes one project for good, or a batch of what is in it. A project whose purge fails waits until no other is left,
   * and fails the call then: it holds up no other project.
   */
  purge: {
    auth: "internal",
    rules: { before: rules.timestamp },
    async handler(ctx) {
      const id = await findPurgeable(this.db, ctx.params.before, this.unpurgeable.keys());
      if (id === null) {
        const [failure] = this.unpurgeable.values();
        this.unpurgeable.clear();
        if (failure !== undefined) throw failure;
        return false;
      }
      try {
        if (!(await tasks.call(ctx, "purge", { project_id: id }))) await purgeProject(this.db, id);
      } catch (error) {
        this.logger.warn(`project ${id} was not purged`, error);
        this.unpurgeable.set(id, error as Error);
      }
      return true;
    },
  },
});
