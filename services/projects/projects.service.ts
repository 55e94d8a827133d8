import type { Service, ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { Problem, problemCode } from "../../core/errors.ts";
import type { LoggedEvent } from "../../core/events.ts";
import { isId } from "../../core/ids.ts";
import { type ActionContext, type Actor, service } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { page } from "../../core/json-schema.ts";
import { cache, viewerOf, viewOf, type WithCache } from "../../mixins/cache.ts";
import { database, type WithDatabase } from "../../mixins/database.ts";
import {
  writeContext,
  emitCommitted,
  projectStream,
  readHeads,
  readLogPage,
} from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { eventPage } from "../events.ts";
import { tasks } from "../tasks/tasks.contract.ts";
import { users } from "../users/users.contract.ts";
import { memberActions } from "./members.actions.ts";
import {
  changeMember,
  createProject,
  deleteProject,
  patchProject,
  purgeProject,
  restoreProject,
} from "./projects.commands.ts";
import type { Project, ProjectRole, ProjectsContract } from "./projects.contract.ts";
import {
  findHeir,
  findProject,
  findPurgeable,
  findSoleOwned,
  itemView,
  listMemberIds,
  listProjectIds,
  listProjects,
  readableProjects,
  PROJECT_SORTS,
  type ProjectRow,
} from "./projects.queries.ts";
import { project as projectSchema, projectItem } from "./projects.answers.ts";

const project = rules.text(1, 100);
const name = { ...rules.line(1, 100), trim: true } as const;
const fields = {
  description: { ...rules.text(0, 10_000), optional: true, nullable: true },
  slug: { type: "string", optional: true, min: 1, max: 64, pattern: "^[a-z0-9]+(?:-[a-z0-9]+)*$" },
} as const;
const status = { type: "enum", values: ["active", "archived"], optional: true } as const;

type Asking = ActionContext<object, Actor>;

/** What the actions' `this` has besides. */
export interface ProjectsLend extends WithDatabase, WithCache {
  /** Tells of what was written, once nobody is answered by what was before it. */
  publish(projectId: string, events: LoggedEvent[], userIds?: string[]): Promise<void>;
  /** The project with the numbers of its tasks. */
  detail(ctx: Asking, project: ProjectRow): Promise<Project>;
}

const detailView = (project: ProjectRow, task_counts: Project["task_counts"]): Project => ({
  ...itemView(project),
  description: project.description,
  task_counts,
});

/** Projects, who is in them, and what happened there. */
export default (config: Config): ServiceSchema => {
  const retentionStart = (): string =>
    new Date(Date.now() - config.RETENTION_DAYS * 86_400_000).toISOString();
  /** Projects that could not be purged, and why. */
  const stuck = new Map<string, Error>();

  return service<ProjectsContract, ProjectsLend>({
    name: "projects",
    mixins: [database(config), cache],
    methods: {
      async publish(
        this: Service & ProjectsLend,
        projectId: string,
        events: LoggedEvent[],
        userIds: string[] = [],
      ) {
        if (events.length > 0) {
          // The write holds, whatever becomes of this: then who it is about is told of at least.
          const members = await listMemberIds(this.db, projectId).catch((error: unknown) => {
            this.logger.warn(`members of project ${projectId} may see it as it was for a moment`, error);
            return [];
          });
          const names = [...members, ...userIds].map((id) => `user:${id}`);
          await this.outdate([...names, "projects", `tasks-of:${projectId}`]);
        }
        emitCommitted(this.broker, events);
      },
      async detail(this: ProjectsLend, ctx: Asking, project: ProjectRow): Promise<Project> {
        return detailView(project, await tasks.call(ctx, "count_by_status", { project_id: project.id }));
      },
    },
    actions: {
      /** Creates a project, which the caller owns. @throws Problem already-exists */
      create: {
        auth: "user",
        idempotent: true,
        rules: { name, ...fields },
        docs: {
          summary: "Create a project",
          description: "You own it. Without a `slug` it gets one made of its name.",
          answer: projectSchema,
          problems: ["already-exists"],
        },
        handler(ctx) {
          return withIdempotencyKey(this.db, ctx, async () => {
            const owner = await users.call(ctx, "account", { id: ctx.locals.actor.id });
            const { answer, events } = await createProject(this.db, owner, ctx.params, writeContext(ctx));
            await this.publish(answer.id, events);
            return answer;
          });
        },
      },

      /** The caller's projects, newest first unless they say. */
      list: {
        auth: "user",
        projectBound: true,
        safe: true,
        rules: {
          status: rules.commaList(["active", "archived"]),
          q: { ...rules.text(1, 100), optional: true, trim: true },
          include_deleted: rules.flag,
          ...pageRules(...PROJECT_SORTS),
        },
        docs: {
          summary: "List your projects",
          description:
            "`q` finds a part of the name. `include_deleted` adds the deleted projects that you may restore.",
          answer: page(projectItem),
        },
        handler(ctx) {
          const { status, q, include_deleted, ...page } = ctx.params;
          const filter = rules.omitUndefined({ status, q, include_deleted });
          const { actor } = ctx.locals;
          const read = () => listProjects(this.db, actor, filter, page as PageOf);
          if (page.cursor || page.offset) return read();
          const key = `project-page:${viewerOf(actor)}:${JSON.stringify([filter, page])}`;
          return this.cached(key, viewOf(actor), read);
        },
      },

      /** One project by id or slug. @throws Problem not-found */
      get: {
        auth: "user",
        projectBound: true,
        safe: true,
        rules: { project },
        docs: { summary: "Read a project", answer: projectSchema },
        handler(ctx) {
          const { actor } = ctx.locals;
          const { project } = ctx.params;
          const read = async () => this.detail(ctx, await findProject(this.db, actor, project, "read"));
          // A slug may come to name another project, whose tasks are others.
          if (!isId(project)) return read();
          const of = [`tasks-of:${project.toLowerCase()}`, ...viewOf(actor)];
          return this.cached(`project-detail:${viewerOf(actor)}:${project.toLowerCase()}`, of, read);
        },
      },

      /** Replaces what a client may set. @throws Problem not-found, forbidden, precondition-failed, project-archived, already-exists */
      replace: {
        auth: "user",
        projectBound: true,
        rules: { project, name, ...fields, status },
        docs: {
          summary: "Replace a project",
          description:
            "What you leave out goes back to its default: no description, status `active`. The slug stays unless you name one.",
          answer: projectSchema,
          problems: ["forbidden", "project-archived", "already-exists"],
        },
        async handler(ctx) {
          const { project, ...given } = ctx.params;
          const input = { description: null, status: "active" as const, ...rules.omitUndefined(given) };
          const written = await patchProject(this.db, project, input, writeContext(ctx));
          await this.publish(written.project.id, written.events);
          return this.detail(ctx, written.project);
        },
      },

      /** Merges fields into a project. @throws Problem not-found, forbidden, precondition-failed, project-archived, already-exists */
      patch: {
        auth: "user",
        projectBound: true,
        rules: { project, name: { ...name, optional: true }, ...fields, status },
        docs: {
          summary: "Change a project",
          description:
            "What you leave out stays. `status: archived` stops all writes in it, until it is `active` again.",
          answer: projectSchema,
          problems: ["forbidden", "project-archived", "already-exists"],
        },
        async handler(ctx) {
          const { project, ...given } = ctx.params;
          const written = await patchProject(this.db, project, rules.omitUndefined(given), writeContext(ctx));
          await this.publish(written.project.id, written.events);
          return this.detail(ctx, written.project);
        },
      },

      /** Deletes a project softly. @throws Problem not-found, forbidden, precondition-failed, project-archived */
      delete: {
        auth: "user",
        projectBound: true,
        rules: { project },
        docs: {
          summary: "Delete a project",
          description:
            "For its owners. It can be restored until it is purged; nobody sees it or its tasks meanwhile.",
          answer: null,
          problems: ["forbidden", "project-archived"],
        },
        async handler(ctx) {
          const { project, events } = await deleteProject(this.db, ctx.params.project, writeContext(ctx));
          await this.publish(project.id, events);
        },
      },

      /** Brings a deleted project back. @throws Problem not-found, forbidden, precondition-failed */
      restore: {
        auth: "user",
        projectBound: true,
        idempotent: true,
        rules: { project },
        docs: {
          summary: "Restore a deleted project",
          description:
            "For its owners. 404 for one that is not deleted. Its slug was free meanwhile: where another project has it now, this one comes back as `slug-2` or the next that is free, and the answer and the event (`changes`) tell it. A slug that several of your deleted projects had names none of them (409): use the id.",
          answer: projectSchema,
          problems: ["forbidden", "conflict"],
        },
        handler(ctx) {
          return withIdempotencyKey(this.db, ctx, async () => {
            const { db } = this;
            const { id } = await findProject(db, ctx.locals.actor, ctx.params.project, "delete", {
              deleted: true,
            });
            // Nobody writes to the tasks of a deleted project, so what is counted here is so when it is back.
            const counts = await tasks.call(ctx, "count_by_status", { project_id: id });
            const answerOf = (restored: ProjectRow): Project => detailView(restored, counts);
            const { project, events } = await restoreProject(
              db,
              id,
              retentionStart(),
              writeContext(ctx),
              answerOf,
            );
            await this.publish(id, events);
            return answerOf(project);
          });
        },
      },

      ...memberActions,

      /** What happened in a project, oldest first: the same events that its stream carries. @throws Problem not-found */
      list_events: {
        auth: "user",
        projectBound: true,
        safe: true,
        rules: {
          project,
          after: rules.wholeNumber({ min: 0, max: Number.MAX_SAFE_INTEGER, default: 0 }),
          limit: pageRules().limit,
        },
        docs: {
          summary: "Read a project's log",
          description:
            "The events after number `after`, as the stream `project:<id>` carries them: the activity feed, and the replay for who was away. Very long events come fewer at a time: go on until the last one is number `head`.",
          answer: eventPage,
        },
        async handler(ctx) {
          const { after = 0, limit = 20 } = ctx.params;
          const found = await findProject(this.db, ctx.locals.actor, ctx.params.project, "read");
          const stream = projectStream(found.id);
          const [{ head = 0 } = {}] = await readHeads(this.db, [stream]);
          const page = { stream, after, upTo: head, limit, caller: ctx.locals.actor.id };
          return { items: await readLogPage(this.db, page), limit, head };
        },
      },

      /**
       * Each as if they left it themselves; what they alone are in, and what is archived, keeps them. A project that
       * they became the only owner of while they were going gets another owner first. May be repeated.
       */
      leave_all: {
        auth: "internal",
        rules: { user_id: rules.id },
        async handler(ctx) {
          const { user_id } = ctx.params;
          const actor: Actor = { id: user_id, role: "user", session: user_id };
          const write = { ...writeContext(ctx as Asking), actor };
          const change = async (project: string, id: string, to: ProjectRole | null, who: Actor) => {
            const person = { id, username: "", first_name: null, last_name: null };
            const as = { ...write, actor: who };
            const { events } = await changeMember(this.db, project, person, { expects: "member", to }, as);
            await this.publish(project, events, [id]);
          };
          const failures: unknown[] = [];
          for (const id of await listProjectIds(this.db, user_id))
            try {
              const heir = await findHeir(this.db, id, user_id);
              if (heir !== null) await change(id, heir, "owner", { ...actor, role: "admin" });
              await change(id, user_id, null, actor);
            } catch (error) {
              if (!["conflict", "project-archived", "not-found"].includes(problemCode(error) ?? ""))
                failures.push(error);
            }
          if (failures.length > 0) throw failures[0];
        },
      },

      /** What a new personal token may be limited to. */
      readable: {
        auth: "internal",
        safe: true,
        rules: { ids: { type: "array", items: "uuid", max: 1000 } },
        handler(ctx) {
          if (ctx.locals.actor === null) throw new Problem("unauthenticated");
          return readableProjects(this.db, ctx.locals.actor, ctx.params.ids);
        },
      },

      /** What would be left without an owner if this user went. */
      sole_owner_of: {
        auth: "internal",
        safe: true,
        rules: { user_id: rules.id },
        handler(ctx) {
          return findSoleOwned(this.db, ctx.params.user_id);
        },
      },

      /**
       * Removes one project for good, or a batch of what is in it. One that can't be purged is passed over until there
       * is no other, and then told of: so it stays, and nothing stays because of it.
       */
      purge: {
        auth: "internal",
        rules: { before: rules.timestamp },
        async handler(ctx) {
          const id = await findPurgeable(this.db, ctx.params.before, stuck.keys());
          if (id === null) {
            const [failure] = stuck.values();
            stuck.clear();
            if (failure !== undefined) throw failure;
            return false;
          }
          try {
            if (!(await tasks.call(ctx, "purge", { project_id: id }))) await purgeProject(this.db, id);
          } catch (error) {
            this.logger.warn(`project ${id} was not purged`, error);
            stuck.set(id, error as Error);
          }
          return true;
        },
      },
    },
  });
};
