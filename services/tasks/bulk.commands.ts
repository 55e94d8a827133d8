/**
 * Many writes as one: all of them happen or none. The tasks are locked in the order of their ids, each operation is
 * decided on the tasks as the operations before it leave them, and one statement commits the rows and the events. So a
 * bulk request of a hundred operations costs as many queries as one of two.
 */
import { missing, Problem, problemCode, problemDocument, PROBLEMS } from "../../core/errors.ts";
import { omitUndefined } from "../../core/rules.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import {
  commit,
  type Guards,
  type LoggedStatement,
  type NewEvent,
  withEvents,
  type WriteContext,
} from "../../mixins/event-log.ts";
import { rememberApart, remembered } from "../../mixins/idempotency.ts";
import { lockedAttempts, missingCategory, type Written } from "./tasks.commands.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import type { BulkOperation, BulkResult, TaskInput } from "./tasks.contract.ts";
import {
  creation,
  type Decide,
  type Decision,
  deletion,
  mustBeAllowedToCreate,
  patch,
  transition,
} from "./tasks.decisions.ts";
import { findProjects, type FoundTask, guardsOf, lockTasks, type ProjectStanding } from "./tasks.queries.ts";
import { checkReferences, readSight, type References } from "./tasks.references.ts";
import { taskView } from "./tasks.view.ts";

const STATUS: Record<BulkOperation["op"], number> = {
  create: 201,
  update: 200,
  transition: 200,
  assign: 200,
  delete: 204,
};
/** For one statement of a bulk: it may index a megabyte of text for the search. */
const STATEMENT_MS = 6000;
/** How long a caller waits for a bulk. */
export const BULK_MS = 9000;
/** The status of an operation that was not carried out because another one failed (RFC 4918 §11.4). */
const FAILED_DEPENDENCY = 424;

const SAVE = withEvents(
  `given AS (
     SELECT * FROM json_to_recordset($1::json) AS g (${taskColumns.definitions}, was int)),
   inserted AS (
     INSERT INTO tasks.tasks (${taskColumns.names})
     SELECT ${taskColumns.names} FROM given WHERE was = 0 RETURNING id),
   updated AS (
     UPDATE tasks.tasks t SET ${taskColumns.assignmentsFrom("g")}
     FROM given g WHERE t.id = g.id AND t.version = g.was RETURNING t.id),
   row AS (SELECT id FROM inserted UNION ALL SELECT id FROM updated)`,
  2,
);

/** A row to write, and the version that it has; 0 for a new one. */
type SavedRow = TaskRow & { was: number };

/** The statement that writes all rows, if each still is as it was found. */
export const saveOf = (rows: SavedRow[]): LoggedStatement => ({
  name: "tasks-save",
  text: SAVE,
  values: [JSON.stringify(rows)],
});

/** The tasks of a bulk request as its operations find and leave them. */
class Workbench {
  readonly #found: Map<string, FoundTask>;
  readonly #versions: Map<string, number>;
  readonly #rows = new Map<string, SavedRow>();
  readonly events: NewEvent[] = [];

  constructor(found: FoundTask[]) {
    this.#found = new Map(found.map((task) => [task.id, task]));
    this.#versions = new Map(found.map(({ id, version }) => [id, version]));
  }

  /** @throws Problem not-found, also for one that an operation before deleted */
  find(id: string): FoundTask {
    const task = this.#found.get(id);
    if (task === undefined) throw missing("task", id);
    return task;
  }

  /** Takes in the decision of an operation. */
  apply({ next, events }: Decision): TaskRow {
    if (events.length === 0) return next;
    this.events.push(...events);
    const before = this.#found.get(next.id);
    this.#rows.set(next.id, { ...next, was: this.#versions.get(next.id) ?? 0 });
    if (next.deleted_at !== null) this.#found.delete(next.id);
    else if (before !== undefined) this.#found.set(next.id, { ...before, ...next });
    return next;
  }

  get rows(): SavedRow[] {
    return [...this.#rows.values()];
  }
}

interface World extends References {
  projects: ProjectStanding[];
}

const valuesOf = (
  operations: BulkOperation[],
  field: "assigned_to" | "category_id" | "project_id",
): string[] => [
  ...new Set(
    operations
      .map((operation) => (operation as Partial<Record<typeof field, string | null>>)[field])
      .filter((value) => value != null),
  ),
];
export const assigneesOf = (operations: BulkOperation[]): string[] => valuesOf(operations, "assigned_to");
export const categoriesOf = (operations: BulkOperation[]): string[] => valuesOf(operations, "category_id");

/** The assignments that the operations would make, of tasks that were found and of new ones. */
function assignmentsOf(operations: BulkOperation[], found: FoundTask[], write: WriteContext) {
  const byId = new Map(found.map((task) => [task.id, task]));
  return operations.flatMap((operation) => {
    const { assigned_to } = operation as { assigned_to?: string | null };
    if (assigned_to == null) return [];
    if (operation.op === "create")
      return [{ project_id: operation.project_id ?? null, created_by: write.actor.id, assigned_to }];
    const task = byId.get(operation.id);
    return task === undefined
      ? []
      : [{ project_id: task.project_id, created_by: task.created_by, assigned_to }];
  });
}

function decideCreation(
  { project_id = null, ...input }: { project_id?: string | null } & TaskInput,
  world: World,
  write: WriteContext,
): Decision {
  const within = project_id === null ? null : world.projects.find(({ id }) => id === project_id);
  if (within === undefined) throw missing("project", String(project_id));
  mustBeAllowedToCreate(write, within, input);
  const blank = { project_id, created_by: write.actor.id, assigned_to: null, category_id: null };
  checkReferences(blank, input, world);
  return creation(input, project_id, write);
}

function decideChange(
  operation: Exclude<BulkOperation, { op: "create" }>,
  world: World,
  write: WriteContext,
): Decide {
  switch (operation.op) {
    case "transition":
      return transition(operation.to, write);
    case "delete":
      return deletion(write);
    default: {
      const { op: _op, id: _id, ...fields } = omitUndefined(operation) as typeof operation;
      const decide = patch(fields, write);
      return (task) => {
        const decision = decide(task);
        checkReferences(task, fields, world);
        return decision;
      };
    }
  }
}

/** The problem of an operation, without the fields that only a whole answer has. */
function problemOf(error: unknown) {
  const code = problemCode(error);
  if (code === null || PROBLEMS[code].status >= 500) throw error;
  const { message, data } = error as Problem;
  const { errors, resource } = data;
  return problemDocument(code, message, { ...(resource && { resource }), ...(errors && { errors }) });
}

/**
 * Carries out all operations or none.
 * @param references of all assignees and categories that they name
 * @throws Problem bulk-failed
 */
export async function runBulk(
  db: Database,
  operations: BulkOperation[],
  references: Pick<References, "people" | "categories">,
  write: WriteContext,
): Promise<Written<{ results: BulkResult[] }>> {
  const attempt = async (tx: Queryable) => {
    const ids = operations.flatMap((operation) => (operation.op === "create" ? [] : [operation.id]));
    const found = ids.length === 0 ? [] : await lockTasks(tx, write.actor, [...new Set(ids)]);
    const bench = new Workbench(found);
    const named = valuesOf(operations, "project_id");
    const projects = named.length === 0 ? [] : await findProjects(tx, write.actor, named);
    const world = {
      ...references,
      projects,
      ...(await readSight(tx, assignmentsOf(operations, found, write))),
    };

    const results = operations.map((operation): BulkResult => {
      const { op } = operation;
      try {
        const decision =
          operation.op === "create"
            ? decideCreation(withoutOp(operation), world, write)
            : decideChange(operation, world, write)(bench.find(operation.id));
        const row = bench.apply(decision);
        return { op, status: STATUS[op], ...(op !== "delete" && { task: taskView(row) }) };
      } catch (error) {
        const problem = problemOf(error);
        return { op, status: problem.status, problem };
      }
    });
    if (results.some(({ problem }) => problem !== undefined)) {
      const failed = results.map(({ op, status, problem }) =>
        problem === undefined ? { op, status: FAILED_DEPENDENCY } : { op, status, problem },
      );
      throw new Problem("bulk-failed", undefined, { results: failed });
    }
    const answer = { results };
    if (bench.events.length === 0) {
      await rememberApart(tx, remembered(write, answer));
      return { answer, events: [] };
    }
    const guards = Object.assign(
      {},
      ...[...found, ...projects.map((project) => ({ ...project, project_id: project.id }))].map(guardsOf),
    ) as Guards;
    const saved = commit(tx, saveOf(bench.rows), bench.events, remembered(write, answer), guards);
    const logged = await saved.catch(missingCategory);
    return logged && { answer, events: logged };
  };
  return lockedAttempts(db, attempt, STATEMENT_MS);
}

const withoutOp = ({ op: _op, ...rest }: Extract<BulkOperation, { op: "create" }>) =>
  omitUndefined(rest) as typeof rest;
