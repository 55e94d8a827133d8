/** Makes what a store shows out of what the server has and of the changes that wait. Pure. */
import { type Kept, show, type Shown, shows } from "./changes.ts";
import type { Contents } from "./fold.ts";
import { STATUSES } from "./statuses.ts";
import type { Change, Comment, Member, ProjectSnapshot, Status, Task } from "./types.ts";

/** By a field and then by id, by bytes, as the server compares. */
const by =
  <Field extends string>(field: Field) =>
  (one: Record<Field | "id", string>, other: Record<Field | "id", string>): number =>
    one[field] === other[field] ? (one.id < other.id ? -1 : 1) : one[field] < other[field] ? -1 : 1;
const inOrder = by("position");
const byTime = by("created_at");

/** The old array where the new one has the same items. */
const keepArray = <Item>(old: readonly Item[] | undefined, now: readonly Item[]): readonly Item[] =>
  old !== undefined && old.length === now.length && old.every((item, at) => item === now[at]) ? old : now;

/** The old map where the new one has the same entries. */
const keepMap = <Value>(
  old: ReadonlyMap<string, Value> | undefined,
  now: ReadonlyMap<string, Value>,
): ReadonlyMap<string, Value> =>
  old !== undefined && old.size === now.size && [...now].every(([key, value]) => old.get(key) === value)
    ? old
    : now;

/** The old object where the new one has the same fields. */
function keepObject<Value extends object>(old: Value | undefined, now: Value): Value {
  const fields = new Map(Object.entries(now));
  return old !== undefined && keepMap(new Map(Object.entries(old)), fields) !== fields ? old : now;
}

/** The tasks of each status, in the order of their positions, and where the moves put them that the server has not made yet. */
function columnsOf(
  { tasks, moves }: Shown,
  old: ProjectSnapshot["columns"] | undefined,
): ProjectSnapshot["columns"] {
  const moved = new Map(moves.map(({ task, place }) => [task, place]));
  const columns: Partial<Record<Status, Task[]>> = {};
  for (const status of STATUSES) columns[status] = [];
  const sorted = [...tasks.values()].sort(inOrder);
  for (const task of sorted) if (!moved.has(task.id)) columns[task.status]?.push(task);
  for (const { task: id, place } of moves) {
    const task = tasks.get(id);
    // Of several moves of one task the last one counts.
    if (task === undefined || moved.get(id) !== place) continue;
    const column = columns[task.status] ?? [];
    const neighbour = column.findIndex((other) => other.id === (place.before ?? place.after));
    if (neighbour === -1) column.push(task);
    else column.splice(place.before === undefined ? neighbour + 1 : neighbour, 0, task);
  }
  return Object.fromEntries(
    STATUSES.map((status) => [status, keepArray(old?.[status], columns[status] as Task[])]),
  ) as unknown as ProjectSnapshot["columns"];
}

function commentsOf(
  { comments, tasks }: Shown,
  old: ProjectSnapshot["comments"] | undefined,
): ProjectSnapshot["comments"] {
  const byTask = new Map<string, Comment[]>();
  for (const comment of comments.values()) {
    if (!tasks.has(comment.task_id)) continue;
    const list = byTask.get(comment.task_id);
    if (list === undefined) byTask.set(comment.task_id, [comment]);
    else list.push(comment);
  }
  return new Map([...byTask].map(([task, list]) => [task, keepArray(old?.get(task), list.sort(byTime))]));
}

const publicOf = ({
  was: _was,
  version: _v,
  by: _by,
  sent_at: _at,
  round: _r,
  answer: _a,
  ...change
}: Kept) => change as Change;

/** Names of members, which events do not have. */
export type Names = ReadonlyMap<string, Pick<Member, "username" | "first_name" | "last_name">>;

/**
 * The snapshot of a store.
 * @param old the one before: what did not change is taken from it
 */
export function snapshotOf(
  state: Pick<ProjectSnapshot, "status" | "problem">,
  contents: Contents,
  names: Names,
  changes: readonly Kept[],
  old: ProjectSnapshot | null,
): ProjectSnapshot {
  const shown: Shown = { tasks: new Map(contents.tasks), comments: new Map(contents.comments), moves: [] };
  for (const change of changes) show(shown, change, contents);
  const columns = columnsOf(shown, old?.columns);
  const members = new Map(
    [...contents.members].map(([id, member]) => [
      id,
      keepObject(old?.members.get(id), { ...member, ...names.get(id) }),
    ]),
  );
  const waiting = changes.filter((change) => shows(change) && change.state !== "sent");
  return {
    ...state,
    project: contents.project,
    tasks: keepMap(old?.tasks, shown.tasks),
    columns: keepObject(old?.columns, columns),
    members: keepMap(old?.members, members),
    comments: keepMap(old?.comments, commentsOf(shown, old?.comments)),
    changes: changes.filter(({ state }) => state !== "sent").map(publicOf),
    waiting: waiting.length,
  };
}
