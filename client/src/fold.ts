/** What a project looks like, folded from a snapshot and the events after it (docs/write-a-client.md, Folding). Pure. */
import type { Comment, Member, Project, Task, TaskwireEvent } from "./types.ts";

/** The state of one stream as the server has it. */
export interface Contents {
  project: Project | null;
  tasks: Map<string, Task>;
  comments: Map<string, Comment>;
  members: Map<string, Member>;
  /** Ids of tasks and comments that were deleted since the snapshot. */
  gone: Set<string>;
}

export const emptyContents = (): Contents => ({
  project: null,
  tasks: new Map(),
  comments: new Map(),
  members: new Map(),
  gone: new Set(),
});

/** Whether what the client has is not newer than what comes. */
const isNews = (have: { version: number } | null | undefined, { version }: { version: number }): boolean =>
  (have?.version ?? 0) <= version;

/** Puts a task in its place, unless the client has a newer one. */
export function putTask({ tasks, gone }: Contents, task: Task): void {
  if (!isNews(tasks.get(task.id), task)) return;
  tasks.set(task.id, task);
  gone.delete(task.id);
}

/** Puts a comment in its place, unless the client has a newer one or knows that it was deleted. */
export function putComment({ comments, gone }: Contents, comment: Comment): void {
  if (!gone.has(comment.id) && isNews(comments.get(comment.id), comment)) comments.set(comment.id, comment);
}

function dropTask({ tasks, comments, gone }: Contents, task: Task): void {
  if (!isNews(tasks.get(task.id), task)) return;
  tasks.delete(task.id);
  gone.add(task.id);
  for (const [id, comment] of comments) if (comment.task_id === task.id) comments.delete(id);
}

/** Whether a stream has the whole life of a task: the project's, or for a personal task those of its two people. */
const isHome = (stream: string, { project_id, created_by, assigned_to }: Task): boolean =>
  project_id === null
    ? stream === `user:${created_by}` || stream === `user:${assigned_to}`
    : stream === `project:${project_id}`;

/** Applies an event to the state of its stream. Events that the client does not know change nothing. */
export function applyEvent(contents: Contents, event: TaskwireEvent): void {
  const { data, type, stream } = event;
  if ("task" in data) {
    const { task } = data;
    // A deleted task can be redacted.
    const isDeleted = type === "task_deleted" || task.deleted_at !== undefined;
    if (!isDeleted && isHome(stream, task)) putTask(contents, task);
    // A user's stream tells of a project's task too, and does not keep it.
    else if (isDeleted || task.project_id === null) dropTask(contents, task);
  } else if ("comment" in data) {
    const { comment } = data;
    if (type === "comment_deleted") {
      contents.comments.delete(comment.id);
      contents.gone.add(comment.id);
      // One that is not there was deleted, or its task was.
    } else if (type !== "comment_redacted" || contents.comments.has(comment.id))
      putComment(contents, comment);
  } else if ("member" in data) {
    const { members } = contents;
    const { user_id } = data.member;
    if (type === "member_removed") members.delete(user_id);
    else members.set(user_id, { ...members.get(user_id), ...data.member });
  } else if ("project" in data && isNews(contents.project, data.project)) contents.project = data.project;
}
