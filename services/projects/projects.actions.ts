import { cachedText } from "../../core/cached-answer.ts";
import { page } from "../../core/json-schema.ts";
import { actionsOf, type UserContext } from "../../core/kit.ts";
import type { PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { projectStream, writeContext } from "../../mixins/event-log.ts";
import { logPage } from "../../mixins/event-log.queries.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { eventPage, logPageParams, PAGE_NOTES, STREAM_NOTES } from "../events.ts";
import { tasks } from "../tasks/tasks.contract.ts";
import { project as projectSchema, projectItem } from "./projects.answers.ts";
import { projectColumns, type VisibleProject } from "./projects.columns.ts";
import { createProject, deleteProject, patchProject, restoreProject } from "./projects.commands.ts";
import {
  cachedProject,
  cachedProjectList,
  type Project,
  type ProjectInput,
  type ProjectsContract,
} from "./projects.contract.ts";
import { listProjects } from "./projects.list.ts";
import type { ProjectsLend } from "./projects.methods.ts";
import * as params from "./projects.params.ts";
import { findProject } from "./projects.queries.ts";
import { projectView } from "./projects.view.ts";

async function change(
  self: ProjectsLend,
  ctx: UserContext<{ project: string }>,
  fields: Partial<ProjectInput>,
): Promise<Project> {
  const project = await withIdempotencyKey(self.db, ctx, async () => {
    const written = await patchProject(self.db, ctx.params.project, fields, writeContext(ctx));
    self.publish(written.events);
    return written.project;
  });
  return self.detail(ctx, project);
}

export const projectActions = actionsOf<ProjectsContract, ProjectsLend>()({
  create: {
    auth: "user",
    idempotent: true,
    rules: params.createRules,
    docs: {
      summary: "Create a project",
      description: "You become its owner. Without a `slug` it gets one made from its name.",
      answer: projectSchema,
      problems: ["already-exists"],
    },
    handler(ctx) {
      return withIdempotencyKey(this.db, ctx, async () => {
        const input = rules.omitUndefined(ctx.params) as ProjectInput;
        const { answer, events } = await createProject(this.db, input, writeContext(ctx));
        this.publish(events);
        return answer;
      });
    },
  },

  list: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: params.listRules,
    docs: {
      summary: "List your projects",
      description:
        "`q` finds a project by a part of its name, or by its slug. `include_deleted` adds the deleted projects that you may restore.",
      answer: page(projectItem),
    },
    async handler(ctx) {
      const { actor } = ctx.locals;
      const { status, q, include_deleted, ...page } = ctx.params;
      const filter = rules.omitUndefined({ status, q, include_deleted });
      const found = await listProjects(this.db, actor, filter, page as PageOf);
      return cachedText(cachedProjectList, ctx.params, actor, found);
    },
  },

  get: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: { project: params.project },
    docs: { summary: "Read a project", answer: projectSchema },
    async handler(ctx) {
      const { actor } = ctx.locals;
      const project = await this.detail(ctx, await findProject(this.db, actor, ctx.params.project, "read"));
      return cachedText(cachedProject, ctx.params, actor, project);
    },
  },

  replace: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: params.replaceRules,
    docs: {
      summary: "Replace a project",
      description:
        "A field that you leave out goes back to its default: no description, status `active`. The slug stays unless you send one.",
      answer: projectSchema,
      problems: ["forbidden", "project-archived", "already-exists"],
    },
    handler(ctx) {
      const { project: _project, ...given } = ctx.params;
      return change(this, ctx, { ...projectColumns.defaults, ...rules.omitUndefined(given) });
    },
  },

  patch: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: params.patchRules,
    docs: {
      summary: "Change a project",
      description:
        "A field that you leave out stays. `status: archived` stops all writes in the project until its status is `active` again.",
      answer: projectSchema,
      problems: ["forbidden", "project-archived", "already-exists"],
    },
    handler(ctx) {
      const { project: _project, ...given } = ctx.params;
      return change(this, ctx, rules.omitUndefined(given));
    },
  },

  delete: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { project: params.project },
    docs: {
      summary: "Delete a project",
      description:
        "Only owners may. Nobody sees the project or its tasks after that, and its owners can restore it until it is purged.",
      answer: null,
      problems: ["forbidden", "project-archived"],
    },
    async handler(ctx) {
      await withIdempotencyKey(this.db, ctx, async () => {
        const { events } = await deleteProject(this.db, ctx.params.project, writeContext(ctx));
        this.publish(events);
      });
    },
  },

  restore: {
    auth: "user",
    projectBound: true,
    idempotent: true,
    rules: { project: params.project },
    docs: {
      summary: "Restore a deleted project",
      description:
        "Only owners may. 404 for a project that is not deleted. If another project has taken its slug, this one comes back as `slug-2` or the next free slug; the answer and the event's `changes` show it. A slug that several of your deleted projects have is ambiguous (409): use the id.",
      answer: projectSchema,
      problems: ["forbidden", "conflict"],
    },
    handler(ctx) {
      return withIdempotencyKey(this.db, ctx, async () => {
        const { actor } = ctx.locals;
        const { id } = await findProject(this.db, actor, ctx.params.project, "delete", { deleted: true });
        // Nobody writes to the tasks of a deleted project, so the counts hold when it is back.
        const counts = await tasks.call(ctx, "count_by_status", { project_id: id });
        const answerOf = (restored: VisibleProject): Project => projectView(restored, counts);
        const since = this.retentionStart();
        const { project, events } = await restoreProject(this.db, id, since, writeContext(ctx), answerOf);
        this.publish(events);
        return answerOf(project);
      });
    },
  },

  list_events: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: params.listEventsRules,
    docs: {
      summary: "Read a project's log",
      description:
        "The events after the cursor `after`, as the stream `project:<id>` carries them: the activity feed, and the replay for a client that was away. " +
        PAGE_NOTES,
      answer: eventPage,
      problems: ["log-rewritten"],
    },
    async handler(ctx) {
      const { actor } = ctx.locals;
      const { id } = await findProject(this.db, actor, ctx.params.project, "read");
      return logPage(this.db, { stream: projectStream(id), ...logPageParams(ctx.params), caller: actor.id });
    },
  },

  stream_events: {
    auth: "user",
    projectBound: true,
    safe: true,
    rules: params.streamEventsRules,
    docs: {
      summary: "Follow a project's events",
      description: `The events of the stream \`project:<id>\`, as they happen. ${STREAM_NOTES}`,
      answer: null,
    },
    async handler(ctx) {
      const { project, ...start } = ctx.params;
      const { id } = await findProject(this.db, ctx.locals.actor, project, "read");
      return { ...rules.omitUndefined(start), stream: projectStream(id) };
    },
  },
});
