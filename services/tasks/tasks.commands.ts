/**
 * Each write reads, decides in pure functions (tasks.decisions.ts), and commits rows and events in one statement that
 * compares the version and sets it. No lock is held in between. A write that loses the race reads and decides again;
 * after two lost races it does so with the row locked, so that a busy task fails nobody.
 */
import { invalidField, problemCode, PROBLEMS, retryLater } from "../../core/errors.ts";
import type { CommittedEvent } from "../../core/events.ts";
import type { UserContext } from "../../core/kit.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import { violatedConstraint } from "../../mixins/database-errors.ts";
import {
  commit,
  type Guards,
  type LoggedSql,
  type LoggedStatement,
  withEvents,
  type WriteContext,
  writeContext,
} from "../../mixins/event-log.ts";
import { rememberApart, remembered } from "../../mixins/idempotency.ts";
import type { Standings } from "./standings.ts";
import { taskColumns, type TaskRow } from "./tasks.columns.ts";
import { partOf, type Task, type TaskInput } from "./tasks.contract.ts";
import { creation, type Decide, type Decision, mustBeAllowedToCreate } from "./tasks.decisions.ts";
import { findProject, findTask, type FoundTask, guardsOf, type ProjectStanding } from "./tasks.queries.ts";
import { type Assignable, checkReferences, readReferences } from "./tasks.references.ts";
import { taskView } from "./tasks.view.ts";

/** The answer of a write, and the events that it committed. */
export interface Written<Answer = Task> {
  answer: Answer;
  events: CommittedEvent[];
}

/** Transactions in which a write that has its rows locked may still be too late. */
const LOCKED_RACES = 20;

/**
 * Tries again while another write is faster (null): in the line of those that have lost, and at last with the rows locked.
 * Who has not lost yet does not wait, so that a caller who may not write holds up nobody who may.
 * @param line names what they all want to write
 * @throws Problem overloaded
 */
export async function attempts<Result>(
  db: Database,
  line: string,
  attempt: (on: Queryable, lock: boolean) => Promise<Result | null>,
): Promise<Result> {
  const result = await attempt(db, false);
  if (result !== null) return result;
  return db.lines.run(
    line,
    async () => (await attempt(db, false)) ?? lockedAttempts(db, (tx) => attempt(tx, true)),
  );
}

/**
 * Tries with the rows locked: only the standing of the caller in the project may still change.
 * @param timeoutMs milliseconds that a statement may take, where DATABASE_TIMEOUT is not enough
 * @throws Problem overloaded
 */
export async function lockedAttempts<Result>(
  db: Database,
  attempt: (tx: Queryable) => Promise<Result | null>,
  timeoutMs?: number,
): Promise<Result> {
  for (let race = 0; race < LOCKED_RACES; race++) {
    const result = await db.transaction(attempt, timeoutMs);
    if (result !== null) return result;
  }
  throw retryLater("overloaded", "Too many changes at once");
}

const INSERT = withEvents(
  `row AS (
     INSERT INTO tasks.tasks (${taskColumns.names}) VALUES (${taskColumns.parameters(1)}) RETURNING id)`,
  1 + taskColumns.count,
);

/** Names the failure of a write whose category was deleted meanwhile; passes other errors on. */
export function missingCategory(error: unknown): never {
  if (violatedConstraint(error, "23503") !== "tasks_category_id_fkey") throw error;
  throw invalidField("category_id", "category", "You have no category with this id");
}

/** Checks what a task comes to refer to, by a look at what `input` names. @throws Problem validation-failed */
async function checkNamed(
  ctx: UserContext,
  db: Database,
  task: Assignable,
  input: Partial<TaskInput>,
): Promise<void> {
  const { assigned_to = null, category_id = null } = input;
  if (assigned_to === null && category_id === null) return;
  const references = await readReferences(ctx, db, {
    assignees: assigned_to === null ? [] : [assigned_to],
    categories: category_id === null ? [] : [category_id],
    tasks: [task],
  });
  checkReferences(task, input, references);
}

/** Lets an attempt that was refused count as one that another write was faster than. */
function notRefused(error: unknown): null {
  const code = problemCode(error);
  if (code === null || PROBLEMS[code].status >= 500) throw error;
  return null;
}

/**
 * Creates a task in the project that `project` (an id or a slug) names, or a personal one. The standing that this node
 * remembers saves a read; only what was read for this request refuses it.
 * @throws Problem not-found (the project), forbidden, project-archived, validation-failed, illegal-transition
 */
export async function createTask(
  ctx: UserContext,
  { db, standings }: { db: Database; standings: Standings },
  project: string | null,
  input: TaskInput,
): Promise<Written> {
  const write = writeContext(ctx);
  const createIn = async (on: Queryable, within: ProjectStanding | null): Promise<Written | null> => {
    mustBeAllowedToCreate(write, within, input);
    const project_id = within?.id ?? null;
    const blank = { project_id, created_by: write.actor.id, assigned_to: null, category_id: null };
    await checkNamed(ctx, db, blank, input);
    const { next, events } = creation(input, project_id, write);
    const statement = { name: "tasks-insert", text: INSERT, values: taskColumns.valuesOf(next) };
    const guards = guardsOf({ project_id, members_version: within?.members_version ?? null });
    return commitTask(on, statement, { next, events }, write, guards);
  };
  return attempts(db, `create:${project ?? write.actor.id}`, async (on, lock) => {
    if (project === null) return createIn(on, null);
    // A guard that fails ends a transaction.
    const known = lock ? undefined : standings.find(write.actor, project);
    const created = known === undefined ? null : await createIn(on, known).catch(notRefused);
    if (created !== null) return created;
    standings.forget(write.actor, project);
    const within = await findProject(on, write.actor, project);
    const written = await createIn(on, within);
    if (written !== null) standings.keep(write.actor, project, within);
    return written;
  });
}

/** What search reads: a statement that sets these columns makes all words of them again, whether they changed or not. */
const SEARCHED = ["title", "description"] as const;

const update = (without: readonly (typeof SEARCHED)[number][]): LoggedSql =>
  withEvents(
    `row AS (
       UPDATE tasks.tasks SET ${taskColumns.assignments(3, without)} WHERE id = $1 AND version = $2 RETURNING id)`,
    3 + taskColumns.changing.length - without.length,
  );
const [UPDATE, UPDATE_UNSEARCHED] = [update([]), update(SEARCHED)];

/** The statement that writes `next` if the row still is as it was found. */
export function updateOf(next: TaskRow, found: FoundTask): LoggedStatement {
  const keys = [next.id, found.version];
  const shows = next.deleted_at === null && found.deleted_at === null ? partOf(taskView(next)) : undefined;
  const statement = SEARCHED.some((column) => next[column] !== found[column])
    ? { name: "tasks-update", text: UPDATE, values: [...keys, ...taskColumns.changingValuesOf(next)] }
    : {
        name: "tasks-update-unsearched",
        text: UPDATE_UNSEARCHED,
        values: [...keys, ...taskColumns.changingValuesOf(next, SEARCHED)],
      };
  return { ...statement, ...(shows !== undefined && { shows }) };
}

/** @returns null when another write was faster */
async function commitTask(
  on: Queryable,
  statement: LoggedStatement,
  { next, events }: Decision,
  write: WriteContext,
  guards: Guards,
): Promise<Written | null> {
  const answer = taskView(next);
  const logged = await commit(on, statement, events, remembered(write, answer), guards).catch(
    missingCategory,
  );
  return logged && { answer, events: logged };
}

/** Commits a decision; one that changes nothing writes the answer's key alone. @returns null when another write was faster */
export async function settle(
  on: Queryable,
  found: FoundTask,
  decision: Decision,
  write: WriteContext,
): Promise<Written | null> {
  if (decision.events.length > 0)
    return commitTask(on, updateOf(decision.next, found), decision, write, guardsOf(found));
  const answer = taskView(found);
  await rememberApart(on, remembered(write, answer));
  return { answer, events: [] };
}

/**
 * Changes the task that the caller may see as `decide` says.
 * @param deleted looks for it among the deleted tasks
 * @param check runs once it is clear that the caller may: a refusal tells nothing of what the check looks at
 * @throws Problem not-found; what `decide` and `check` throw
 */
export async function changeTask(
  db: Database,
  id: string,
  write: WriteContext,
  decide: Decide,
  { deleted = false, check }: { deleted?: boolean; check?: (task: FoundTask) => Promise<void> } = {},
): Promise<Written> {
  return attempts(db, `task:${id}`, async (on, lock) => {
    const found = await findTask(on, write.actor, id, { lock, deleted });
    const decision = decide(found);
    await check?.(found);
    return settle(on, found, decision, write);
  });
}

/** Changes what a client may set of a task, and checks what the task comes to refer to. @throws as `changeTask` */
export function editTask<Input extends Partial<TaskInput>>(
  ctx: UserContext,
  db: Database,
  id: string,
  input: Input,
  verb: (input: Input, write: WriteContext) => Decide,
): Promise<Written> {
  const write = writeContext(ctx);
  const check = (found: FoundTask) => checkNamed(ctx, db, found, input);
  return changeTask(db, id, write, verb(input, write), { check });
}
