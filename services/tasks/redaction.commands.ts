/**
 * Takes a pasted secret out of a task or a comment: out of the row, out of all that the log tells of it in whatever
 * stream, and out of answers that idempotency keys remember. One transaction, with the event that says so.
 *
 * Which answers tell of it is looked up before anything is locked, since that takes the longest, and only for those who
 * may do this. Then the task's row is locked. Whatever else writes these texts takes that lock too, and so has either
 * committed what is found here, or begins with the row that this leaves.
 */
import { mustMatch } from "../../core/preconditions.ts";
import { missing, problemCode } from "../../core/errors.ts";
import type { Database, Queryable, Statement } from "../../mixins/database.ts";
import { commit, type NewEvent, withEvents, type WriteContext } from "../../mixins/event-log.ts";
import { findInLog, redactLog } from "../../mixins/event-log.erasure.ts";
import {
  responsesAbout,
  redactResponses,
  rememberUnchanged,
  type ResponsesAbout,
} from "../../mixins/idempotency.ts";
import { commentColumns } from "./comments.columns.ts";
import { findComment } from "./comments.queries.ts";
import { lockedAttempts, updateOf, type Written } from "./tasks.commands.ts";
import { type Comment, type Task, taskEvents } from "./tasks.contract.ts";
import { mustBeAllowed, redaction } from "./tasks.decisions.ts";
import { commentEvents } from "./tasks.events.ts";
import { may } from "./tasks.policy.ts";
import { findTask, type FoundTask, guardsOf } from "./tasks.queries.ts";
import { commentView, REDACTED, taskView } from "./tasks.view.ts";

/**
 * A task, under its lock where that is asked for; for those who may redact it also a deleted one: deleting it is what
 * most try first.
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

/** A tag names the comment's version where a comment is what goes. @throws Problem forbidden, project-archived */
const mustBeAllowedIn = (task: FoundTask, write: WriteContext): void =>
  mustBeAllowed(task, ["redact"], { ...write, conditions: { ...write.conditions, ifMatch: null } });

interface Redaction<Answer> {
  answer: Answer;
  statement: Statement;
  events: NewEvent[];
  /** Whether the row itself has something to lose. */
  changes: boolean;
}

/** Clears log and answers, and then writes the row with its event, unless there was nothing anywhere. */
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
  const remembered = { userId: write.actor.id, key: write.conditions.key };
  if (!changes && cleared === 0) {
    await rememberUnchanged(tx, { ...remembered, response: unchanged });
    return { answer: unchanged, events: [] };
  }
  const logged = await commit(tx, statement, events, { ...remembered, response: answer }, guardsOf(task));
  return logged && { answer, events: logged };
}

/** @throws Problem not-found, forbidden, precondition-failed, project-archived */
export async function redactTask(db: Database, id: string, write: WriteContext): Promise<Written> {
  redaction(write)(await anyTask(db, write, id, false));
  const telling = await responsesAbout(db, id, write.actor.id);
  return lockedAttempts(db, async (tx) => {
    const task = await anyTask(tx, write, id, true);
    const { next, events } = redaction(write)(task);
    const { title, description } = REDACTED.task;
    const found = {
      answer: taskView(next),
      statement: updateOf(next, task),
      events,
      changes: task.title !== title || task.description !== description,
    };
    return carryOut(tx, "task", found, taskView(task), { task, write, telling });
  });
}

const UPDATE = withEvents(
  `row AS (UPDATE tasks.comments SET ${commentColumns.assignments(2)} WHERE id = $1 RETURNING id)`,
  2 + commentColumns.changing.length,
);
/** The comment's row is gone; the log is what remains of it. */
const LOG_ALONE = withEvents("row AS (SELECT $1::uuid AS id)", 2);

/** A comment, or what the log has of one that was deleted. @throws Problem not-found */
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
      events: commentEvents(taskEvents.comment_redacted, task, { comment: next }, write),
      changes: isThere && comment.body !== body,
    };
    return carryOut(tx, "comment", found, isThere ? comment : next, { task, write, telling });
  });
}
