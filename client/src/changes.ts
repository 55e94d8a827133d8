/** Writes that wait, as data: how each is sent, and how it shows before the server has confirmed it. Pure. */
import type { Contents } from "./fold.ts";
import type { Http } from "./http.ts";
import type { Change, Comment, Place, Task } from "./types.ts";

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
  /** What the fields that it sets (`fieldsOf`) were when the user changed them; of a move, `place` as well. */
  was: Record<string, unknown>;
  /** Who made it. */
  by: string;
  /** When it was sent first, or when the server confirmed it, in milliseconds since 1970. */
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

/** What a change sets: these fields it has to find as the user saw them. A place in the column is nobody's: the last one wins. */
export const fieldsOf = ({ kind, body }: Pick<Kept, "kind" | "body">): Record<string, unknown> =>
  kind === "transition"
    ? { status: body.to }
    : kind !== "move"
      ? body
      : body.status === undefined
        ? {}
        : { status: body.status };

/** What the user saw of the fields that a change sets. */
export const seenOf = (change: Pick<Kept, "kind" | "body">, seen: object | null | undefined): Kept["was"] =>
  Object.fromEntries(
    Object.keys(fieldsOf(change)).map((field) => [field, (seen as Kept["was"] | null | undefined)?.[field]]),
  );

/** The path of the thing that a change is about. */
export const pathOf = ({ task, comment }: Kept): string =>
  comment === null ? `/tasks/${task}` : `/tasks/${task}/comments/${comment}`;

export const isDeletion = ({ kind }: Pick<Kept, "kind">): boolean => kind.startsWith("delete");

const methodOf = ({ kind }: Kept): string =>
  kind.startsWith("delete") ? "DELETE" : kind === "update" || kind === "edit-comment" ? "PATCH" : "POST";

/** Whether it is sent with an idempotency key, which the server forgets some day. */
export const isKeyed = (change: Kept): boolean => methodOf(change) === "POST";

function targetOf(change: Kept, project: string): string {
  const { kind, task } = change;
  if (kind === "create") return `/projects/${project}/tasks`;
  if (kind === "comment") return `/tasks/${task}/comments`;
  return pathOf(change) + (isKeyed(change) ? `/${kind === "transition" ? "transitions" : kind}` : "");
}

/** The request of a change, as `Http.json` takes it. Repeating it does what sending it once does. */
export function requestOf(change: Kept, project: string): Parameters<Http["json"]> {
  const { id, round, body, version } = change;
  const headers = {
    // Its event carries this id.
    "X-Request-ID": id,
    ...(isKeyed(change) && { "Idempotency-Key": `${id}-${round}` }),
    // Nothing may silently undo what somebody else did.
    ...(version !== null && { "If-Match": `"${version}"` }),
  };
  // Pauses between attempts are the outbox's, so that the return of the connection ends them.
  const options = { headers, attempts: 1, ...(!isDeletion(change) && { body }) };
  return [methodOf(change), targetOf(change, project), options];
}

const same = (one: unknown, other: unknown): boolean => (one ?? null) === (other ?? null);

/**
 * Whether a change can be sent again on top of what others did: they changed other fields, or made the same of these. (An
 * own change whose answer was lost is found so, too.) Of those that want one transition one gets it.
 * @param theirs the task or comment as the server has it
 */
export function canMerge(change: Kept, theirs: Task | Comment): boolean {
  const { kind, was } = change;
  if (isDeletion(change)) return false;
  const now = theirs as unknown as Record<string, unknown>;
  return Object.entries(fieldsOf(change)).every(
    ([field, value]) => same(now[field], was[field]) || (kind !== "transition" && same(now[field], value)),
  );
}

/** Where a move leads whose neighbour has left the column: before what comes next there, or to the end. */
export function placeWithout({ task, body, was }: Kept, { tasks }: Contents): Record<string, unknown> {
  const next = [...tasks.values()]
    .filter(
      ({ id, status, position }) => id !== task && status === body.status && position > (was.place as string),
    )
    .sort((one, other) => (one.position < other.position ? -1 : 1))[0];
  return { status: body.status, before: next?.id };
}

/** What the server sets itself: nothing of that is known yet. */
const unmade = ({ made_at }: Kept) => {
  const now = new Date(made_at).toISOString();
  return { version: 0, created_at: now, updated_at: now };
};

/** A task that the server has not seen yet. */
const draft = (change: Kept, project: string): Task => ({
  description: null,
  status: "pending",
  priority: "medium",
  category_id: null,
  assigned_to: null,
  due_date: null,
  ...(change.body as { title: string }),
  id: change.task,
  project_id: project,
  created_by: change.by,
  completed_at: null,
  position: "",
  ...unmade(change),
});

const draftComment = (change: Kept): Comment => ({
  id: change.comment as string,
  task_id: change.task,
  author_id: change.by,
  body: change.body.body as string,
  ...unmade(change),
});

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
    tasks.set(task, { ...have, ...fieldsOf(change) });
    if (kind === "move") shown.moves.push({ task, place: body });
  }
}
