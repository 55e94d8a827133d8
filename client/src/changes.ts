/** Writes that wait, as data: how each is sent, and how it shows before the server has confirmed it. Pure. */
import type { Contents } from "./fold.ts";
import type { Change, Comment, Place, Status, Task } from "./types.ts";

/** A change as it is kept. */
export interface Kept extends Omit<Change, "state"> {
  state: Change["state"] | "sent";
  task: string;
  comment: string | null;
  problem: Change["problem"];
  theirs: Change["theirs"];
  body: Record<string, unknown>;
  /** The version that the user saw; null where any will do. */
  version: number | null;
  /** What the fields of `body` were when the user changed them. */
  was: Record<string, unknown>;
  /** Who made it. */
  by: string;
  /** When it was sent first, in milliseconds since 1970. */
  sent_at: number | null;
  /** How often it was begun again: each time is another write for the server. */
  round: number;
  /** What the server answered, while its event has not come. */
  answer: Task | Comment | null;
}

/** Temporary ids begin with this. */
const NEW = "new:";
export const temporaryId = (id: string): string => `${NEW}${id}`;
export const isTemporary = (id: string): boolean => id.startsWith(NEW);

/** Whether a change shows in the store. */
export const shows = ({ state }: Pick<Kept, "state">): boolean => state !== "failed" && state !== "conflict";

/** Whether the server compares the version: changes that would silently undo somebody else's. */
const isConditional = ({ kind, version }: Kept): boolean =>
  version !== null && ["update", "assign", "delete", "edit-comment", "delete-comment"].includes(kind);

export interface Sending {
  method: string;
  path: string;
  body: Record<string, unknown> | undefined;
  headers: Record<string, string>;
}

/** The request of a change. Repeating it does what sending it once does. */
export function requestOf(change: Kept, project: string): Sending {
  const { kind, id, round, task, comment, body, version } = change;
  const to = (method: string, path: string, sent: Sending["body"] = body): Sending => ({
    method,
    path,
    body: sent,
    headers: {
      // Its event carries this id.
      "X-Request-ID": id,
      ...(method === "POST" && { "Idempotency-Key": `${id}-${round}` }),
      ...(isConditional(change) && { "If-Match": `"${version}"` }),
    },
  });
  switch (kind) {
    case "create":
      return to("POST", `/projects/${project}/tasks`);
    case "update":
      return to("PATCH", `/tasks/${task}`);
    case "transition":
      return to("POST", `/tasks/${task}/transitions`);
    case "assign":
      return to("POST", `/tasks/${task}/assign`);
    case "move":
      return to("POST", `/tasks/${task}/move`);
    case "delete":
      return to("DELETE", `/tasks/${task}`, undefined);
    case "comment":
      return to("POST", `/tasks/${task}/comments`);
    case "edit-comment":
      return to("PATCH", `/tasks/${task}/comments/${comment}`);
    case "delete-comment":
      return to("DELETE", `/tasks/${task}/comments/${comment}`, undefined);
  }
}

/** Whether sending this again a day later might do it twice: the server forgets idempotency keys. */
export const isKeyed = ({ kind }: Kept): boolean =>
  ["create", "comment", "transition", "assign", "move"].includes(kind);

/** The path of the thing that a change is about. */
export const pathOf = ({ task, comment }: Kept): string =>
  comment === null ? `/tasks/${task}` : `/tasks/${task}/comments/${comment}`;

const same = (one: unknown, other: unknown): boolean => (one ?? null) === (other ?? null);

/**
 * Whether a change can be sent again on top of what others did: they changed other fields, or made the same of these. (An
 * own change whose answer was lost is found so, too.)
 * @param theirs the task or comment as the server has it
 */
export function canMerge({ kind, body, was }: Kept, theirs: Task | Comment): boolean {
  if (kind === "delete" || kind === "delete-comment") return false;
  const now = theirs as unknown as Record<string, unknown>;
  return Object.keys(body).every((field) => same(now[field], was[field]) || same(now[field], body[field]));
}

/** A task that the server has not seen yet. */
function draft({ task, body, by, made_at }: Kept, project: string): Task {
  const now = new Date(made_at).toISOString();
  return {
    description: null,
    status: "pending",
    priority: "medium",
    category_id: null,
    assigned_to: null,
    due_date: null,
    ...(body as { title: string }),
    id: task,
    project_id: project,
    created_by: by,
    completed_at: null,
    position: "",
    version: 0,
    created_at: now,
    updated_at: now,
  };
}

const draftComment = ({ task, comment, body, by, made_at }: Kept): Comment => {
  const now = new Date(made_at).toISOString();
  return {
    id: comment as string,
    task_id: task,
    author_id: by,
    body: body.body as string,
    version: 0,
    created_at: now,
    updated_at: now,
  };
};

/** What the store shows: the contents, with the changes on top. */
export interface Shown {
  tasks: Map<string, Task>;
  comments: Map<string, Comment>;
  /** Where tasks are shown that the server has not moved yet, in the order of the moves. */
  moves: { task: string; place: Place }[];
}

/** Whether the contents have what the server answered to a change. */
export function isSettled({ kind, answer, task, comment }: Kept, contents: Contents): boolean {
  if (kind === "delete") return !contents.tasks.has(task);
  if (kind === "delete-comment") return comment === null || !contents.comments.has(comment);
  if (answer === null || contents.gone.has(answer.id)) return true;
  const have = contents.tasks.get(answer.id) ?? contents.comments.get(answer.id);
  return have !== undefined && have.version >= answer.version;
}

/** Puts a change on top of what is shown. */
export function show(shown: Shown, change: Kept, contents: Contents): void {
  if (!shows(change)) return;
  const { kind, task, comment, body, answer } = change;
  const { tasks, comments } = shown;
  if (kind === "delete") tasks.delete(task);
  else if (kind === "delete-comment") comments.delete(comment as string);
  else if (answer !== null) {
    if (isSettled(change, contents)) return;
    if ("task_id" in answer) comments.set(answer.id, answer);
    else tasks.set(answer.id, answer);
  } else if (kind === "create") {
    tasks.set(task, draft(change, contents.project?.id ?? ""));
    shown.moves.push({ task, place: {} });
  } else if (kind === "comment") comments.set(comment as string, draftComment(change));
  else if (kind === "edit-comment") {
    const have = comments.get(comment as string);
    if (have !== undefined) comments.set(have.id, { ...have, body: body.body as string });
  } else {
    const have = tasks.get(task);
    if (have === undefined) return;
    const status = (kind === "transition" ? body.to : (body.status ?? have.status)) as Status;
    if (kind === "move") {
      tasks.set(task, { ...have, status });
      shown.moves.push({ task, place: body });
    } else if (kind === "transition") tasks.set(task, { ...have, status });
    else tasks.set(task, { ...have, ...body });
  }
}
