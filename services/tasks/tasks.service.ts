import type { Service, ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { isId } from "../../core/ids.ts";
import { type Actor, service, type UserContext } from "../../core/kit.ts";
import { type Page, pageRules, type PageOf } from "../../core/pagination.ts";
import * as rules from "../../core/rules.ts";
import { page } from "../../core/json-schema.ts";
import { cache, viewerOf, viewOf, type WithCache } from "../../mixins/cache.ts";
import { type Database, database, type WithDatabase } from "../../mixins/database.ts";
import { writeContext, emitCommitted } from "../../mixins/event-log.ts";
import { withIdempotencyKey } from "../../mixins/idempotency.ts";
import { users } from "../users/users.contract.ts";
import { categoryActions } from "./categories.actions.ts";
import { commentActions } from "./comments.actions.ts";
import { type Assignable, checkCreation, checkReferences, readReferences } from "./references.ts";
import { assigneesOf, BULK_MS, categoriesOf, runBulk } from "./tasks.bulk.ts";
import {
  announceDue,
  attempts,
  type Batch,
  changeTask,
  createTask,
  purgeTasks,
  unassignUser,
  type Written,
} from "./tasks.commands.ts";
import { type Task, type TaskInput, type TasksContract } from "./tasks.contract.ts";
import {
  assignment,
  creation,
  type Decide,
  deletion,
  patch,
  replacement,
  restoration,
  transition,
} from "./tasks.decisions.ts";
import { outdatedBy } from "./tasks.events.ts";
import { redactTask } from "./redaction.commands.ts";
import {
  countByStatus,
  findDetail,
  findProject,
  guardsOf,
  listTasks,
  TASK_SORTS,
  type TaskFilter,
} from "./tasks.queries.ts";
import { fields, filters, operations, project, status, title } from "./tasks.params.ts";
import { bulkAnswer, task, taskDetail } from "./tasks.answers.ts";
import { detailView } from "./tasks.view.ts";

/** What the actions' `this` has besides. */
export interface TasksLend extends WithDatabase, WithCache {
  publish<Answer>(written: Written<Answer>): Promise<Answer>;
  /** The same for work that takes several calls. @returns whether there may be more */
  publishBatch(batch: Batch): Promise<boolean>;
  list(actor: Actor, params: TaskFilter & PageOf): Promise<Page<Task>>;
}

/** Creates a task, in the project that `reference` (id or slug) names or a personal one. */
async function create(
  ctx: UserContext,
  db: Database,
  reference: string | null,
  params: Partial<TaskInput>,
): Promise<Written> {
  const input = rules.omitUndefined(params) as TaskInput;
  const write = writeContext(ctx);
  return attempts(db, async (on) => {
    const within = reference === null ? null : await findProject(on, write.actor, reference);
    checkCreation(write, within, input);
    const project_id = within?.id ?? null;
    const blank = { project_id, created_by: write.actor.id, assigned_to: null, category_id: null };
    await checkNamed(ctx, db, blank, input);
    const guards = guardsOf({ project_id, members_version: within?.members_version ?? null });
    return createTask(on, creation(input, project_id, write), write, guards);
  });
}

/** Whether the task may come to refer to what `input` names, by a look at what it names. @throws Problem validation-failed */
async function checkNamed(
  ctx: UserContext,
  db: Database,
  from: Assignable,
  input: Partial<TaskInput>,
): Promise<void> {
  const { assigned_to = null, category_id = null } = input;
  if (assigned_to === null && category_id === null) return;
  const references = await readReferences(ctx, db, {
    assignees: assigned_to === null ? [] : [assigned_to],
    categories: category_id === null ? [] : [category_id],
    tasks: [from],
  });
  checkReferences(from, input, references);
}

/** Changes a task that comes to refer to others. Whether the caller may is decided first: a refusal tells nothing of those. */
const change = (
  ctx: UserContext,
  db: Database,
  id: string,
  input: Partial<TaskInput>,
  decide: Decide,
): Promise<Written> =>
  changeTask(db, id, writeContext(ctx), decide, { check: (found) => checkNamed(ctx, db, found, input) });

/** Tasks, their comments, and the categories that people put them in. */
export default (config: Config): ServiceSchema =>
  service<TasksContract, TasksLend>({
    name: "tasks",
    mixins: [database(config), cache],
    methods: {
      /** Tells the notifiers of a write, and answers what it answers, once nobody is answered by what was before it. */
      async publish<Answer>(this: Service & TasksLend, { answer, events }: Written<Answer>): Promise<Answer> {
        if (events.length > 0) await this.outdate(events.flatMap(outdatedBy));
        emitCommitted(this.broker, events);
        return answer;
      },
      /** A list; the first page of a project's or of one of its columns, which boards ask for all the time, from the cache. */
      async list(
        this: Service & TasksLend,
        actor: Actor,
        { limit, offset, cursor, sort, ...filter }: TaskFilter & PageOf,
      ): Promise<Page<Task>> {
        const page = { limit, offset, cursor, sort };
        const read = () => listTasks(this.db, actor, filter, page);
        const project = filter.project ?? filter.project_id;
        const isFirst = !cursor && !offset;
        // What is overdue changes without a write, and a slug may come to name another project.
        if (project === undefined || !isId(project) || !isFirst || filter.overdue !== undefined)
          return read();
        const key = `task-page:${viewerOf(actor)}:${JSON.stringify([filter, page])}`;
        return this.cached(key, [`tasks-of:${project.toLowerCase()}`, ...viewOf(actor)], read);
      },
      async publishBatch(this: Service & TasksLend, { events, more }: Batch): Promise<boolean> {
        return this.publish({ answer: more, events });
      },
    },
    actions: {
      ...commentActions,
      ...categoryActions,

      /** The tasks that the caller may see, newest first unless they say; what matches best first where `q` searches. */
      list: {
        auth: "user",
        projectBound: true,
        safe: true,
        rules: { project_id: rules.optionalId, ...filters, ...pageRules(...TASK_SORTS) },
        docs: {
          summary: "List the tasks that you may see",
          description:
            'Personal tasks and those of your projects. `q` searches titles and descriptions as web search engines do: `deploy -staging`, `"exact words"`, `this or that`. A word finds its English inflections and, from two characters on, what begins with it; a link or a path is found by its parts in a row, and Chinese and Japanese text by any part of it. Words such as `the` count only where nothing else is asked for. Matches come by `-rank` unless `sort` says otherwise. `include_deleted` adds deleted tasks that you created or whose project you manage. `archived=false` leaves out the tasks of archived projects, `archived=true` all others. Tasks without a due date sort as if due last.',
          answer: page(task),
        },
        handler(ctx) {
          return this.list(ctx.locals.actor, ctx.params as TaskFilter & PageOf);
        },
      },

      /** A project's tasks. @throws Problem not-found (the project) */
      list_in_project: {
        auth: "user",
        projectBound: true,
        safe: true,
        rules: { project, ...filters, ...pageRules(...TASK_SORTS) },
        docs: {
          summary: "List a project's tasks",
          description: "By the same filters and sorts as `GET /tasks`, newest first unless you say.",
          answer: page(task),
        },
        handler(ctx) {
          return this.list(ctx.locals.actor, ctx.params as TaskFilter & PageOf);
        },
      },

      /** Creates a task. @throws Problem not-found (the project), forbidden, project-archived, validation-failed, illegal-transition */
      create: {
        auth: "user",
        projectBound: true,
        idempotent: true,
        rules: { project_id: rules.nullableId, title, ...fields },
        docs: {
          summary: "Create a task",
          description:
            "A personal one without `project_id`: you and its assignee see it. It may begin in any status that `pending` reaches in one step.",
          answer: task,
          problems: ["not-found", "forbidden", "project-archived", "illegal-transition"],
        },
        handler(ctx) {
          const { project_id = null, ...input } = ctx.params;
          return withIdempotencyKey(this.db, ctx, async () =>
            this.publish(await create(ctx, this.db, project_id, input)),
          );
        },
      },

      /** The same in the project that the path names. */
      create_in_project: {
        auth: "user",
        projectBound: true,
        idempotent: true,
        rules: { project, title, ...fields },
        docs: {
          summary: "Create a task in a project",
          answer: task,
          problems: ["forbidden", "project-archived", "illegal-transition"],
        },
        handler(ctx) {
          const { project, ...input } = ctx.params;
          return withIdempotencyKey(this.db, ctx, async () =>
            this.publish(await create(ctx, this.db, project, input)),
          );
        },
      },

      /** One task, with what its ids stand for: one query, and one call for the people. @throws Problem not-found */
      get: {
        auth: "user",
        projectBound: true,
        safe: true,
        rules: { id: rules.id },
        docs: { summary: "Read a task", answer: taskDetail },
        async handler(ctx) {
          const { actor } = ctx.locals;
          const { id } = ctx.params;
          const of = [`task:${id}`, ...viewOf(actor)];
          const row = await this.cached(`task-detail:${viewerOf(actor)}:${id}`, of, () =>
            findDetail(this.db, actor, id),
          );
          const ids = [row.created_by, row.assigned_to].filter((id) => id !== null);
          const people = await this.cachedEach("person", [...new Set(ids)], (missing) =>
            users.call(ctx, "people", { ids: missing }),
          );
          return detailView(row, people);
        },
      },

      /** Replaces what a client may set. @throws Problem not-found, forbidden, precondition-failed, illegal-transition, project-archived, validation-failed */
      replace: {
        auth: "user",
        projectBound: true,
        rules: { id: rules.id, title, ...fields },
        docs: {
          summary: "Replace a task",
          description:
            "What you leave out goes back to its default: no description, category, assignee or due date, priority `medium`, status `pending` (409 where the task can't become that).",
          answer: task,
          problems: ["forbidden", "project-archived", "illegal-transition"],
        },
        async handler(ctx) {
          const { id, ...params } = ctx.params;
          const input = rules.omitUndefined(params) as TaskInput;
          const decide = replacement(input, writeContext(ctx));
          return this.publish(await change(ctx, this.db, id, input, decide));
        },
      },

      /** Merges fields into a task. @throws Problem not-found, forbidden, precondition-failed, illegal-transition, project-archived, validation-failed */
      patch: {
        auth: "user",
        projectBound: true,
        rules: { id: rules.id, title: { ...title, optional: true }, ...fields },
        docs: {
          summary: "Change a task",
          description:
            "What you leave out stays. Changes nothing, and no version, where all is as you say already.",
          answer: task,
          problems: ["forbidden", "project-archived", "illegal-transition"],
        },
        async handler(ctx) {
          const { id, ...params } = ctx.params;
          const edits = rules.omitUndefined(params);
          return this.publish(await change(ctx, this.db, id, edits, patch(edits, writeContext(ctx))));
        },
      },

      /** Deletes a task softly. @throws Problem not-found, forbidden, precondition-failed, project-archived */
      delete: {
        auth: "user",
        projectBound: true,
        rules: { id: rules.id },
        docs: {
          summary: "Delete a task",
          description:
            "For the project's managers and owners, or the creator of a personal task. It can be restored until it is purged, 30 days later unless the server says otherwise.",
          answer: null,
          problems: ["forbidden", "project-archived"],
        },
        async handler(ctx) {
          const write = writeContext(ctx);
          await this.publish(await changeTask(this.db, ctx.params.id, write, deletion(write)));
        },
      },

      /** Brings a deleted task back. @throws Problem not-found, forbidden, precondition-failed, project-archived */
      restore: {
        auth: "user",
        projectBound: true,
        idempotent: true,
        rules: { id: rules.id },
        docs: {
          summary: "Restore a deleted task",
          description: "For who may delete it. 404 for one that is not deleted.",
          answer: task,
          problems: ["forbidden", "project-archived"],
        },
        handler(ctx) {
          const write = writeContext(ctx);
          const { id } = ctx.params;
          return withIdempotencyKey(this.db, ctx, async () =>
            this.publish(await changeTask(this.db, id, write, restoration(write), { deleted: true })),
          );
        },
      },

      /** Assigns a task; null unassigns it. @throws Problem not-found, forbidden, precondition-failed, project-archived, validation-failed */
      assign: {
        auth: "user",
        projectBound: true,
        idempotent: true,
        rules: { id: rules.id, assigned_to: { ...rules.id, nullable: true } },
        docs: {
          summary: "Assign a task",
          description:
            "To an active user who can see its project, or who shares a project with the creator of a personal task; `null` takes it from whoever has it. For the project's managers and owners, or the creator of a personal task; its assignee may give it back (`null`) whatever their role.",
          answer: task,
          problems: ["forbidden", "project-archived"],
        },
        handler(ctx) {
          const { id, assigned_to } = ctx.params;
          const decide = assignment(assigned_to, writeContext(ctx));
          return withIdempotencyKey(this.db, ctx, async () =>
            this.publish(await change(ctx, this.db, id, { assigned_to }, decide)),
          );
        },
      },

      /** Moves a task to another status. @throws Problem not-found, forbidden, precondition-failed, illegal-transition, project-archived */
      transition: {
        auth: "user",
        projectBound: true,
        idempotent: true,
        rules: { id: rules.id, to: { ...status, example: "in_progress" } },
        docs: {
          summary: "Move a task to another status",
          description:
            "`pending` → `in_progress`, `completed`, `cancelled`; `in_progress` → `pending`, `completed`, `cancelled`; `completed` → `in_progress`, `archived`; `cancelled` → `pending`, `archived`. Strict: the status that it already has is refused too, so of many who claim a task one succeeds.",
          answer: task,
          problems: ["forbidden", "project-archived", "illegal-transition"],
        },
        handler(ctx) {
          const { id, to } = ctx.params;
          const write = writeContext(ctx);
          return withIdempotencyKey(this.db, ctx, async () =>
            this.publish(await changeTask(this.db, id, write, transition(to, write))),
          );
        },
      },

      /** Takes a task's texts out of its row and out of the log. @throws Problem not-found, forbidden, precondition-failed, project-archived */
      redact: {
        auth: "user",
        projectBound: true,
        idempotent: true,
        rules: { id: rules.id },
        docs: {
          summary: "Take a task's texts out of the log",
          description:
            "For a pasted secret: title and description go for good. The task is titled `[redacted]`, without a description; in all events of the log that tell of it, `changes` included, its texts become null, the one change that the log knows. Its comments stay: each is redacted by itself. Also for a deleted task. Clients that have read the texts keep them, and so do backups. For the project's managers and owners, or the creator of a personal task.",
          answer: task,
          problems: ["forbidden", "project-archived"],
        },
        handler(ctx) {
          return withIdempotencyKey(this.db, ctx, async () =>
            this.publish(await redactTask(this.db, ctx.params.id, writeContext(ctx))),
          );
        },
      },

      /** Carries out up to 100 operations, or none of them. @throws Problem bulk-failed */
      bulk: {
        auth: "user",
        projectBound: true,
        idempotent: true,
        timeout: BULK_MS,
        rules: { operations },
        docs: {
          summary: "Do many things at once, or none",
          description:
            "Each operation stands for the request of its own: `create` (POST /tasks), `update` (PATCH), `transition`, `assign`, `delete`, and is judged on what those before it left. Where one can't be done none is, and the problem's `results` tell which and why.",
          answer: bulkAnswer,
          problems: ["bulk-failed"],
        },
        handler(ctx) {
          const { operations: given } = ctx.params;
          return withIdempotencyKey(this.db, ctx, async () => {
            const { people, categories } = await readReferences(ctx, this.db, {
              assignees: assigneesOf(given),
              categories: categoriesOf(given),
              tasks: [],
            });
            return this.publish(await runBulk(this.db, given, { people, categories }, writeContext(ctx)));
          });
        },
      },

      /** A project's tasks by status, for the project's detail answer. */
      count_by_status: {
        auth: "internal",
        safe: true,
        rules: { project_id: rules.id },
        handler(ctx) {
          return countByStatus(this.db, ctx.params.project_id, ctx.locals.actor?.id);
        },
      },

      /** Unassigns a batch of the tasks of a user who leaves, in the name of who erased the account. May be repeated. */
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

      /** Tells of a batch of open tasks that are due soon. */
      announce_due: {
        auth: "internal",
        rules: {},
        async handler() {
          const now = Date.now();
          const until = new Date(now + config.DUE_SOON_HOURS * 3_600_000).toISOString();
          return this.publishBatch(await announceDue(this.db, until, new Date(now).toISOString()));
        },
      },

      /** Removes a batch of tasks for good. */
      purge: {
        auth: "internal",
        rules: { before: { ...rules.timestamp, optional: true }, project_id: rules.optionalId },
        handler(ctx) {
          const { before, project_id } = ctx.params;
          return purgeTasks(this.db, { before: before ?? null, projectId: project_id ?? null });
        },
      },
    },
  });
