/**
 * Takes a pasted secret out of a task or a comment: out of the row, out of its events in every stream, and out of the
 * answers that idempotency keys remember. One transaction, with the event that says so.
 *
 * The answers are looked up before anything is locked, since that takes longest, and only for callers who may redact.
 * Then the task's row is locked. Every other write of these texts takes that lock, too: it has either committed what is
 * found here, or begins with the row that the redaction leaves.
 */
import { mustMatch } from "../../core/preconditions.ts";
import { missing, problemCode } from "../../core/errors.ts";
import type { Database, Queryable } from "../../mixins/database.ts";
import {
  commit,
  type LoggedStatement,
  type NewEvent,
  withEvents,
  type WriteContext,
} from "../../mixins/event-log.ts";
import { findInLog, redactLog } from "../../mixins/event-log.erasure.ts";
import {
  responsesAbout,
  redactResponses,
  rememberApart,
  remembered,
  type ResponsesAbout,
} from "../../mixins/idempotency.ts";
import { commentColumns } from "./comments.columns.ts";
import { findComment } from "./comments.queries.ts";
import { taskColumns } from "./tasks.columns.ts";
import { lockedAttempts, updateOf, type Written } from "./tasks.commands.ts";
import { type Comment, type Task, commentEvents } from "./tasks.contract.ts";
import { mustBeAllowed, redaction } from "./tasks.decisions.ts";
import { eventsOfComment } from "./tasks.events.ts";
import { may } from "./tasks.policy.ts";
import { findTask, type FoundTask, guardsOf } from "./tasks.queries.ts";
import { commentView } from "./comments.view.ts";
import { REDACTED, taskView } from "./tasks.view.ts";

/**
 * A task; for callers who may redact it also a deleted one, since people delete a task with a secret first.
 * @throws Problem not-found
 */
async function anyTask(on: Queryable, write: WriteContext, id: string, lock: boolean): Promise<FoundTask> {
  try {
    return await findTask(on, write.actor, id, { lock });
  } catch (error) {
    if (problemCode(error) !== "not-found") throw error;
    const task = await findTask(on, write.actor, id, { lock, deleted: true });
    if (!may(write.actor, "redact", task)) throw error;
    return task;
  }
}

/** `If-Match` names the comment's version, not the task's. @throws Problem forbidden, project-archived */
const mustBeAllowedIn = (task: FoundTask, write: WriteContext): void =>
  mustBeAllowed(task, ["redact"], { ...write, conditions: { ...write.conditions, ifMatch: null } });

interface Redaction<Answer> {
  answer: Answer;
  statement: LoggedStatement;
  events: NewEvent[];
  /** Whether the row has a text to take out. */
  changes: boolean;
}

/** Clears log and answers, then writes the row and the event, unless there was nothing to take out anywhere. */
async function carryOut<Answer extends Task | Comment>(
  tx: Queryable,
  kind: "task" | "comment",
  { answer, statement, events, changes }: Redaction<Answer>,
  unchanged: Answer,
  { task, write, telling }: { task: FoundTask; write: WriteContext; telling: ResponsesAbout },
): Promise<Written<Answer> | null> {
  const { id } = answer;
  const cleared = await redactLog(tx, { kind, id, texts: REDACTED[kind] });
  await redactResponses(tx, id, REDACTED[kind], telling);
  if (!changes && cleared === 0) {
    await rememberApart(tx, remembered(write, unchanged));
    return { answer: unchanged, events: [] };
  }
  const logged = await commit(tx, statement, events, remembered(write, answer), guardsOf(task));
  return logged && { answer, events: logged };
}

/** @throws Problem not-found, forbidden, precondition-failed, project-archived */
export async function redactTask(db: Database, id: string, write: WriteContext): Promise<Written> {
  redaction(write)(await anyTask(db, write, id, false));
  const telling = await responsesAbout(db, id, write.actor.id);
  return lockedAttempts(db, async (tx) => {
    const task = await anyTask(tx, write, id, true);
    const { next, events } = redaction(write)(task);
    const taken = taskColumns.changesBetween(task, { ...task, ...REDACTED.task });
    const found = {
      answer: taskView(next),
      statement: updateOf(next, task),
      events,
      changes: Object.keys(taken).length > 0,
    };
    return carryOut(tx, "task", found, taskView(task), { task, write, telling });
  });
}

const UPDATE = withEvents(
  `row AS (UPDATE tasks.comments SET ${commentColumns.assignments(2)} WHERE id = $1 RETURNING id)`,
  2 + commentColumns.changing.length,
);
/** For a comment that was deleted: only the log still has it. */
const LOG_ALONE = withEvents("row AS (SELECT $1::uuid AS id)", 2);

/** A comment, or what the log has of a deleted one. @throws Problem not-found */
async function commentOrTrace(
  tx: Queryable,
  taskId: string,
  id: string,
): Promise<{ comment: Comment; isThere: boolean }> {
  try {
    return { comment: await findComment(tx, taskId, id), isThere: true };
  } catch (error) {
    if (problemCode(error) !== "not-found") throw error;
    const trace = (await findInLog(tx, { kind: "comment", id })) as Comment | null;
    if (trace?.task_id !== taskId) throw missing("comment", id);
    return { comment: commentView({ ...trace, body: trace.body ?? REDACTED.comment.body }), isThere: false };
  }
}

/** @throws Problem not-found (the task, the comment), forbidden, precondition-failed, project-archived */
export async function redactComment(
  db: Database,
  taskId: string,
  id: string,
  write: WriteContext,
): Promise<Written<Comment>> {
  mustBeAllowedIn(await anyTask(db, write, taskId, false), write);
  const telling = await responsesAbout(db, id, write.actor.id);
  return lockedAttempts(db, async (tx) => {
    const task = await anyTask(tx, write, taskId, true);
    const { comment, isThere } = await commentOrTrace(tx, taskId, id);
    mustBeAllowedIn(task, write);
    mustMatch(write.conditions, comment.version);
    const { body } = REDACTED.comment;
    const next = isThere
      ? { ...comment, body, version: comment.version + 1, updated_at: write.time }
      : { ...comment, body };
    const found = {
      answer: next,
      statement: isThere
        ? { name: "comments-redact", text: UPDATE, values: [id, ...commentColumns.changingValuesOf(next)] }
        : { name: "comments-redact-trace", text: LOG_ALONE, values: [id] },
      events: eventsOfComment(commentEvents.comment_redacted, task, { comment: next }, write),
      changes: isThere && comment.body !== body,
    };
    return carryOut(tx, "comment", found, isThere ? comment : next, { task, write, telling });
  });
}
