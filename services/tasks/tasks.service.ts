import type { ServiceSchema } from "moleculer";
import type { Config } from "../../core/config.ts";
import { invalidField, Problem } from "../../core/errors.ts";
import { type ActionContext, type Actor, service } from "../../core/kit.ts";
import { pageRules, type PageOf } from "../../core/page.ts";
import * as rules from "../../core/rules.ts";
import { type Database, database, type WithDatabase } from "../../mixins/database.ts";
import { causeOf, emitCommitted } from "../../mixins/event-log.ts";
import { users } from "../users/users.contract.ts";
import {
  createTask,
  deleteTask,
  patchTask,
  transitionTask,
  unassignUser,
  type Written,
} from "./tasks.commands.ts";
import {
  PRIORITIES,
  TASK_STATUSES,
  type Task,
  type TaskInput,
  type TasksContract,
} from "./tasks.contract.ts";
import { may } from "./tasks.policy.ts";
import {
  countByStatus,
  findProject,
  findTask,
  isMember,
  listTasks,
  mayAssignIn,
  mayCreateIn,
} from "./tasks.queries.ts";
import { taskView } from "./tasks.view.ts";

const title = { ...rules.text(1, 200), trim: true } as const;
const status = { type: "enum", values: [...TASK_STATUSES] } as const;
const project = rules.text(1, 100);
const fields = {
  description: { ...rules.text(0, 10_000), optional: true, nullable: true },
  status: { ...status, optional: true },
  priority: { type: "enum", values: [...PRIORITIES], optional: true },
  assigned_to: rules.nullableId,
  due_date: { ...rules.timestamp, optional: true, nullable: true },
} as const;

type Asking = ActionContext<object, Actor>;

/**
 * The assignee must exist, be active, and be able to see the task's project (contract.md §5).
 * @throws Problem validation-failed
 */
async function checkAssignee(
  ctx: Asking,
  db: Database,
  projectId: string | null,
  userId: string,
): Promise<void> {
  const refuse = (message: string) => invalidField("assigned_to", "assignee", message);
  const [person] = await users.call(ctx, "people", { ids: [userId] });
  if (person?.is_active !== true) throw refuse("There is no active user with this id");
  const sees = projectId === null || person.role !== "user" || (await isMember(db, projectId, userId));
  if (!sees) throw refuse("This user can't see the task's project");
}

/** The same for a task that exists, after whether the caller may assign it. @throws Problem not-found, forbidden too */
async function checkAssignment(ctx: Asking, db: Database, taskId: string, userId: string): Promise<void> {
  const found = await findTask(db, ctx.locals.actor, taskId);
  if (!may(ctx.locals.actor, "assign", found)) throw new Problem("forbidden");
  await checkAssignee(ctx, db, found.project_id, userId);
}

/** Creates a task, in the project that `reference` (id or slug) names or a personal one. */
async function create(
  ctx: Asking,
  db: Database,
  reference: string | null,
  input: TaskInput,
): Promise<Written> {
  const { actor } = ctx.locals;
  const within = reference === null ? null : await findProject(db, actor, reference);
  if (within !== null) {
    if (!mayCreateIn(actor, within)) throw new Problem("forbidden");
    if (input.assigned_to != null && !mayAssignIn(actor, within))
      throw new Problem("forbidden", "Only managers of the project assign its tasks");
    if (within.status === "archived") throw new Problem("project-archived");
  }
  const project_id = within?.id ?? null;
  if (input.assigned_to != null) await checkAssignee(ctx, db, project_id, input.assigned_to);
  return createTask(db, { ...input, project_id }, causeOf(ctx));
}

/** Tasks: personal, and in projects. */
export default (config: Config): ServiceSchema =>
  service<TasksContract, WithDatabase & { publish(written: Written): Task }>({
    name: "tasks",
    mixins: [database(config)],
    methods: {
      /** Tells the notifiers of a write, and answers its task. */
      publish({ task, events }: Written): Task {
        emitCommitted(this.broker, events);
        return task;
      },
    },
    actions: {
      /** Creates a task. @throws Problem not-found (the project), forbidden, project-archived, validation-failed, illegal-transition */
      create: {
        auth: "user",
        rules: { project_id: rules.nullableId, title, ...fields },
        async handler(ctx) {
          const { project_id = null, ...input } = ctx.params;
          return this.publish(await create(ctx, this.db, project_id, input));
        },
      },

      /** The same in the project that the path names. */
      create_in_project: {
        auth: "user",
        rules: { project, title, ...fields },
        async handler(ctx) {
          const { project, ...input } = ctx.params;
          return this.publish(await create(ctx, this.db, project, input));
        },
      },

      /** The tasks that the caller may see, newest first. */
      list: {
        auth: "user",
        safe: true,
        rules: { project_id: rules.optionalId, status: rules.commaList(TASK_STATUSES), ...pageRules },
        handler(ctx) {
          const { limit, offset, ...filter } = ctx.params as typeof ctx.params & PageOf;
          return listTasks(this.db, ctx.locals.actor, filter, { limit, offset });
        },
      },

      /** A project's tasks, newest first. @throws Problem not-found (the project) */
      list_in_project: {
        auth: "user",
        safe: true,
        rules: { project, status: rules.commaList(TASK_STATUSES), ...pageRules },
        handler(ctx) {
          const { limit, offset, ...filter } = ctx.params as typeof ctx.params & PageOf;
          return listTasks(this.db, ctx.locals.actor, filter, { limit, offset });
        },
      },

      /** One task. @throws Problem not-found */
      get: {
        auth: "user",
        safe: true,
        rules: { id: rules.id },
        async handler(ctx) {
          return taskView(await findTask(this.db, ctx.locals.actor, ctx.params.id));
        },
      },

      /** Merges fields into a task. @throws Problem not-found, forbidden, illegal-transition, project-archived, validation-failed */
      patch: {
        auth: "user",
        rules: { id: rules.id, title: { ...title, optional: true }, ...fields },
        async handler(ctx) {
          const { id, ...named } = ctx.params;
          // The validator leaves a key without a value for some fields that were not sent.
          const edits = Object.fromEntries(
            Object.entries(named).filter(([, value]) => value !== undefined),
          ) as typeof named;
          if (edits.assigned_to != null) await checkAssignment(ctx, this.db, id, edits.assigned_to);
          return this.publish(await patchTask(this.db, id, edits, causeOf(ctx)));
        },
      },

      /** Assigns a task; null unassigns it. @throws Problem not-found, forbidden, project-archived, validation-failed */
      assign: {
        auth: "user",
        rules: { id: rules.id, assigned_to: { ...rules.id, nullable: true } },
        async handler(ctx) {
          const { id, assigned_to } = ctx.params;
          if (assigned_to !== null) await checkAssignment(ctx, this.db, id, assigned_to);
          return this.publish(await patchTask(this.db, id, { assigned_to }, causeOf(ctx)));
        },
      },

      /** Moves a task to another status. @throws Problem not-found, forbidden, illegal-transition, project-archived */
      transition: {
        auth: "user",
        rules: { id: rules.id, to: status },
        async handler(ctx) {
          const { id, to } = ctx.params;
          return this.publish(await transitionTask(this.db, id, to, causeOf(ctx)));
        },
      },

      /** Deletes a task softly. @throws Problem not-found, forbidden, project-archived */
      delete: {
        auth: "user",
        rules: { id: rules.id },
        async handler(ctx) {
          this.publish(await deleteTask(this.db, ctx.params.id, causeOf(ctx)));
        },
      },

      /** A project's tasks by status, for the project's detail answer. */
      count_by_status: {
        auth: "internal",
        safe: true,
        rules: { project_id: rules.id },
        handler(ctx) {
          return countByStatus(this.db, ctx.params.project_id);
        },
      },

      /** Unassigns a batch of the tasks of a user who leaves. */
      unassign_user: {
        auth: "internal",
        rules: { user_id: rules.id },
        async handler(ctx) {
          const { actor } = ctx.locals;
          if (actor === null) throw new Problem("unauthenticated");
          const cause = causeOf(ctx as Asking);
          const { events, more } = await unassignUser(this.db, ctx.params.user_id, cause);
          emitCommitted(this.broker, events);
          return more;
        },
      },
    },
  });
