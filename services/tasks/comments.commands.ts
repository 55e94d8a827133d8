/** Writes of comments. Each locks the task until it commits, so that its event reaches the users who see the task then. */
import { mustMatch } from "../../core/preconditions.ts";
import { Problem } from "../../core/errors.ts";
import { newId } from "../../core/ids.ts";
import type { Database } from "../../mixins/database.ts";
import {
  commit,
  type LoggedStatement,
  type NewEvent,
  withEvents,
  type WriteContext,
} from "../../mixins/event-log.ts";
import { remembered } from "../../mixins/idempotency.ts";
import { attempts, type Written } from "./tasks.commands.ts";
import { commentColumns } from "./comments.columns.ts";
import { type Comment, commentEvents } from "./tasks.contract.ts";
import { eventsOfComment } from "./tasks.events.ts";
import { may, whyNot } from "./tasks.policy.ts";
import { findComment } from "./comments.queries.ts";
import { findTask, type FoundTask, guardsOf } from "./tasks.queries.ts";

const TASK =
  "task AS (SELECT id FROM tasks.tasks WHERE id = $1 AND version = $2 AND deleted_at IS NULL FOR SHARE)";

const INSERT = withEvents(
  `${TASK},
   row AS (
     INSERT INTO tasks.comments (${commentColumns.names})
     SELECT ${commentColumns.parameters(3)} FROM task RETURNING id)`,
  3 + commentColumns.count,
);
const UPDATE = withEvents(
  `${TASK},
   row AS (
     UPDATE tasks.comments SET ${commentColumns.assignments(5)}
     WHERE id = $3 AND version = $4 AND EXISTS (SELECT FROM task) RETURNING id)`,
  5 + commentColumns.changing.length,
);
const DELETE = withEvents(
  `${TASK},
   row AS (
     DELETE FROM tasks.comments WHERE id = $3 AND version = $4 AND EXISTS (SELECT FROM task) RETURNING id)`,
  5,
);

interface Decision<Answer> {
  statement: LoggedStatement;
  events: NewEvent[];
  answer: Answer;
}

function writeComment<Answer>(
  db: Database,
  taskId: string,
  write: WriteContext,
  decide: (task: FoundTask, find: () => Promise<Comment>) => Promise<Decision<Answer>>,
  commentId = "",
): Promise<Written<Answer>> {
  return attempts(db, `task:${taskId}`, async (on, lock) => {
    const task = await findTask(on, write.actor, taskId, { lock });
    const { statement, events, answer } = await decide(task, () => findComment(on, taskId, commentId));
    if (events.length === 0) return { answer, events: [] };
    const logged = await commit(on, statement, events, remembered(write, answer), guardsOf(task));
    return logged === null ? null : { answer, events: logged };
  });
}

const mustBeOpen = (task: FoundTask): void => {
  if (task.project_status === "archived") throw new Problem("project-archived");
};

/** @throws Problem not-found (the task), forbidden, project-archived */
export function createComment(
  db: Database,
  taskId: string,
  body: string,
  write: WriteContext,
): Promise<Written<Comment>> {
  return writeComment(db, taskId, write, async (task) => {
    if (!may(write.actor, "comment", task)) throw new Problem("forbidden", whyNot("comment", task));
    mustBeOpen(task);
    const comment: Comment = {
      id: newId(),
      task_id: taskId,
      author_id: write.actor.id,
      body,
      version: 1,
      created_at: write.time,
      updated_at: write.time,
    };
    return {
      statement: {
        name: "comments-insert",
        text: INSERT,
        values: [taskId, task.version, ...commentColumns.valuesOf(comment)],
      },
      events: eventsOfComment(commentEvents.comment_created, task, { comment }, write),
      answer: comment,
    };
  });
}

/** @throws Problem not-found (the task, the comment), forbidden, precondition-failed, project-archived */
export function patchComment(
  db: Database,
  taskId: string,
  commentId: string,
  body: string,
  write: WriteContext,
): Promise<Written<Comment>> {
  const decide = async (task: FoundTask, find: () => Promise<Comment>): Promise<Decision<Comment>> => {
    const before = await find();
    if (!may(write.actor, "comment", task) || before.author_id !== write.actor.id)
      throw new Problem("forbidden", "Only the author of a comment may edit it");
    mustMatch(write.conditions, before.version);
    mustBeOpen(task);
    const comment = { ...before, body, version: before.version + 1, updated_at: write.time };
    const changed = commentColumns.changingValuesOf(comment);
    const values = [taskId, task.version, commentId, before.version, ...changed];
    return {
      statement: { name: "comments-update", text: UPDATE, values },
      answer: body === before.body ? before : comment,
      events:
        body === before.body
          ? []
          : eventsOfComment(
              commentEvents.comment_updated,
              task,
              { comment, changes: { body: { old: before.body, new: body } } },
              write,
            ),
    };
  };
  return writeComment(db, taskId, write, decide, commentId);
}

/** @throws Problem not-found (the task, the comment), forbidden, precondition-failed, project-archived */
export function deleteComment(
  db: Database,
  taskId: string,
  commentId: string,
  write: WriteContext,
): Promise<Written<null>> {
  const decide = async (task: FoundTask, find: () => Promise<Comment>): Promise<Decision<null>> => {
    const comment = await find();
    const own = comment.author_id === write.actor.id && may(write.actor, "comment", task);
    if (!own && !may(write.actor, "moderate", task))
      throw new Problem(
        "forbidden",
        task.project_id === null
          ? "Only the author of a comment on a personal task may delete it"
          : "Only the author of a comment and the project's managers may delete it",
      );
    mustMatch(write.conditions, comment.version);
    mustBeOpen(task);
    const values = [taskId, task.version, commentId, comment.version];
    return {
      statement: { name: "comments-delete", text: DELETE, values },
      events: eventsOfComment(commentEvents.comment_deleted, task, { comment }, write),
      answer: null,
    };
  };
  return writeComment(db, taskId, write, decide, commentId);
}
