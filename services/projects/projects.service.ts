import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { invalidField, Problem } from "../../core/errors.ts";
import { service } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/page.ts";
import * as rules from "../../core/rules.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import { causeOf, emitCommitted } from "../../mixins/event-log.ts";
import { TASK_STATUSES, tasks } from "../tasks/tasks.contract.ts";
import { users } from "../users/users.contract.ts";
import { changeMember, createProject } from "./projects.commands.ts";
import { PROJECT_ROLES, type ProjectsContract } from "./projects.contract.ts";
import { findProject, listMembers, listProjects } from "./projects.queries.ts";

const project = rules.text(1, 100);
const role = { type: "enum", values: [...PROJECT_ROLES] } as const;

const NO_TASKS = Object.fromEntries(TASK_STATUSES.map((status) => [status, 0]));

/** Projects and who is in them. */
export default (config: Config): ServiceSchema =>
  service<ProjectsContract, WithDatabase>({
    name: "projects",
    mixins: [database(config)],
    actions: {
      /** Creates a project, which the caller owns. @throws Problem already-exists */
      create: {
        auth: "user",
        rules: {
          name: { ...rules.text(1, 100), trim: true },
          description: { ...rules.text(0, 10_000), optional: true, nullable: true },
          slug: { type: "string", optional: true, min: 2, max: 64, pattern: "^[a-z0-9]+(?:-[a-z0-9]+)*$" },
        },
        async handler(ctx) {
          const { actor } = ctx.locals;
          const owner = await users.call(ctx, "account", { id: actor.id });
          const created = await createProject(this.db, owner, ctx.params, causeOf(ctx));
          emitCommitted(this.broker, created.events);
          return { ...created.project, task_counts: NO_TASKS };
        },
      },

      /** The caller's projects, newest first. */
      list: {
        auth: "user",
        safe: true,
        rules: pageRules,
        handler(ctx) {
          return listProjects(this.db, ctx.locals.actor, ctx.params as PageOf);
        },
      },

      /** One project by id or slug. @throws Problem not-found */
      get: {
        auth: "user",
        safe: true,
        rules: { project },
        async handler(ctx) {
          const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "read");
          return {
            ...found,
            task_counts: await tasks.call(ctx, "count_by_status", { project_id: found.id }),
          };
        },
      },

      /** Who is in a project. @throws Problem not-found */
      list_members: {
        auth: "user",
        safe: true,
        rules: { project, ...pageRules },
        async handler(ctx) {
          const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "read");
          const page = await listMembers(this.db, found.id, ctx.params as PageOf);
          const people = await users.call(ctx, "people", { ids: page.items.map(({ user_id }) => user_id) });
          const byId = new Map(people.map((person) => [person.id, person]));
          const items = page.items.map(({ user_id, role, created_at }) => {
            const { username = "", first_name = null, last_name = null } = byId.get(user_id) ?? {};
            return { user_id, username, first_name, last_name, role, created_at };
          });
          return { ...page, items };
        },
      },

      /** Adds a member. @throws Problem not-found, forbidden, already-exists, project-archived; validation-failed for no such user */
      add_member: {
        auth: "user",
        rules: { project, user_id: rules.id, role },
        async handler(ctx) {
          const { user_id, role } = ctx.params;
          const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "manage_members");
          const [person] = await users.call(ctx, "people", { ids: [user_id] });
          if (person?.is_active !== true)
            throw invalidField("user_id", "unknown", "There is no active user with this id");
          const change = { expects: "stranger", to: role } as const;
          const { member, events } = await changeMember(this.db, found, person, change, causeOf(ctx));
          emitCommitted(this.broker, events);
          return member;
        },
      },

      /** Changes a member's role. @throws Problem not-found, forbidden, conflict, project-archived */
      update_member: {
        auth: "user",
        rules: { project, user_id: rules.id, role },
        async handler(ctx) {
          const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "read");
          const [person] = await users.call(ctx, "people", { ids: [ctx.params.user_id] });
          if (person === undefined) throw new Problem("not-found");
          const change = { expects: "member", to: ctx.params.role } as const;
          const { member, events } = await changeMember(this.db, found, person, change, causeOf(ctx));
          emitCommitted(this.broker, events);
          return member;
        },
      },

      /** Removes a member, or lets the caller leave. @throws Problem not-found, forbidden, conflict, project-archived */
      remove_member: {
        auth: "user",
        rules: { project, user_id: rules.id },
        async handler(ctx) {
          const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "read");
          const [person] = await users.call(ctx, "people", { ids: [ctx.params.user_id] });
          if (person === undefined) throw new Problem("not-found");
          const change = { expects: "member", to: null } as const;
          const { events } = await changeMember(this.db, found, person, change, causeOf(ctx));
          emitCommitted(this.broker, events);
        },
      },
    },
  });
