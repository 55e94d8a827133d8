/**
 * Each stream of the log: gapless from its first event to its head, and its project, members and things as its events
 * leave them. A page of streams is read in one snapshot, so that writes and the retention may go on meanwhile.
 */
import { isEvent, type LoggedEvent } from "../../core/events.ts";
import { memberColumns, type MemberRow } from "../../services/projects/members.columns.ts";
import { projectColumns, type ProjectRow } from "../../services/projects/projects.columns.ts";
import {
  type EventMembership,
  type EventProject,
  memberEvents,
  projectEvents,
} from "../../services/projects/projects.contract.ts";
import { eventView } from "../../services/projects/projects.view.ts";
import {
  commentEvents,
  type EventComment,
  type EventTask,
  taskEvents,
} from "../../services/tasks/tasks.contract.ts";
import type { Audit, Query } from "./audit.ts";
import { differences, explained, type FirstKept, mayBeForgotten } from "./compare.ts";

const STREAMS_AT_ONCE = 500;
const EVENTS_AT_ONCE = 5000;

interface StreamRow {
  name: string;
  head: number;
  last_id: string | null;
  previous_id: string | null;
}

/** An event; its data only where it is needed. `lost`: its task or comment has no row. */
type Read = Omit<LoggedEvent, "data"> & { data: object | null; lost: boolean };

/** The events between two places. Plan: primary keys; a scalar subquery keeps Postgres from hashing a whole table. */
const EVENTS = `
  SELECT stream, seq, id, type, time, actor_id, request_id, lost, CASE WHEN lost OR type = ANY ($5) THEN data END AS data
  FROM (
    SELECT l.*, CASE
      WHEN type = ANY ($6) THEN (SELECT 1 FROM tasks.tasks WHERE id = (l.data #>> '{task,id}')::uuid) IS NULL
      WHEN type = ANY ($7) THEN (SELECT 1 FROM tasks.comments WHERE id = (l.data #>> '{comment,id}')::uuid) IS NULL
      ELSE false END AS lost
    FROM (
      SELECT * FROM events.log WHERE (stream, seq) > ($1, $2) AND ($3::text IS NULL OR stream <= $3)
      ORDER BY stream, seq LIMIT $4) l
    OFFSET 0) e
  ORDER BY stream, seq`;
const FOLDED = Object.keys({ ...projectEvents, ...memberEvents });

const endsComment = (event: LoggedEvent): boolean =>
  // A comment that was deleted may still be redacted in the log.
  isEvent(event, commentEvents.comment_deleted) || isEvent(event, commentEvents.comment_redacted);

/** What the events of one stream leave. */
class Fold {
  readonly row: StreamRow;
  first: FirstKept | null = null;
  last: Read | null = null;
  project: EventProject | null = null;
  /** By user; null for a member who was removed. */
  readonly members = new Map<string, EventMembership["member"] | null>();
  /** Things that have no row, by id, as their last event shows them; null for those that were deleted. */
  readonly lostTasks = new Map<string, EventTask | null>();
  readonly lostComments = new Map<string, EventComment | null>();
  /** The ids of those events that the last commit may have followed: commits of one request look like one. */
  followed = new Set<string>();
  reachesBack = false;

  constructor(row: StreamRow) {
    this.row = row;
  }

  add(event: Read): void {
    const { last } = this;
    this.first ??= { seq: event.seq, time: event.time };
    if (last !== null) {
      const isSameRequest = last.time === event.time && last.request_id === event.request_id;
      if (!isSameRequest) [this.followed, this.reachesBack] = [new Set(), true];
      this.followed.add(last.id);
    }
    this.last = event;
    if (event.data === null) return;
    const read = event as LoggedEvent;
    if (event.lost) this.#addLost(read);
    else if (isEvent(read, memberEvents.member_removed)) this.members.set(read.data.member.user_id, null);
    else if (event.type in memberEvents) {
      const { member } = read.data as EventMembership;
      this.members.set(member.user_id, member);
    } else this.project = (read.data as { project: EventProject }).project;
  }

  #addLost(event: LoggedEvent): void {
    const { task, comment } = event.data as { task?: EventTask; comment?: EventComment };
    if (task !== undefined && streamOf(task) === event.stream)
      this.lostTasks.set(task.id, task.deleted_at === undefined ? task : null);
    if (comment !== undefined) this.lostComments.set(comment.id, endsComment(event) ? null : comment);
  }
}

/** The stream that has all events of a task; an assignee's own stream has some. */
const streamOf = ({ project_id, created_by }: Pick<EventTask, "project_id" | "created_by">): string =>
  project_id === null ? `user:${created_by}` : `project:${project_id}`;

export async function checkStreams(audit: Audit): Promise<void> {
  let after: string | null = "";
  while (after !== null) {
    const from: string = after;
    after = await audit.snapshot<string | null>((query) => checkPage(audit, query, from));
  }
}

/** @returns the last stream of the page; null at the end */
async function checkPage(audit: Audit, query: Query, after: string): Promise<string | null> {
  const rows = await query<StreamRow>(
    "SELECT name, head, last_id, previous_id FROM events.streams WHERE name > $1 ORDER BY name LIMIT $2",
    [after, STREAMS_AT_ONCE],
  );
  const end = rows.length < STREAMS_AT_ONCE ? null : (rows.at(-1) as StreamRow).name;
  const folds = new Map(rows.map((row) => [row.name, new Fold(row)]));
  const strays = new Set<string>();
  for (let [stream, seq, more] = [after, Number.MAX_SAFE_INTEGER, true]; more;) {
    const place = [stream, seq, end, EVENTS_AT_ONCE];
    const events = await query<Read>(EVENTS, [
      ...place,
      FOLDED,
      Object.keys(taskEvents),
      Object.keys(commentEvents),
    ]);
    for (const event of events) {
      const fold = folds.get(event.stream);
      if (fold === undefined) strays.add(event.stream);
      else {
        checkOrder(audit, fold.last, event);
        fold.add(event);
      }
    }
    more = events.length === EVENTS_AT_ONCE;
    if (more) ({ stream, seq } = events.at(-1) as Read);
    audit.examined(events.length);
  }
  for (const stream of strays) audit.fault("events without a stream", stream);
  for (const fold of folds.values()) checkHead(audit, fold);
  await checkOwners(audit, query, [...folds.values()]);
  return end;
}

function checkOrder(audit: Audit, before: Read | null, { stream, seq, id }: Read): void {
  if (before === null) return;
  if (seq !== before.seq + 1)
    audit.fault("hole in a stream", `${stream}: ${before.seq} is followed by ${seq}`);
  if (id === before.id) audit.fault("doubled event", `${stream}: ${before.seq} and ${seq} are both ${id}`);
}

/** Events bear the times of nodes, whose clocks differ: a time that decreases is no fault. */
function checkHead(audit: Audit, { row, first, last, followed, reachesBack }: Fold): void {
  const { name, head, last_id, previous_id } = row;
  const wrong = (text: string): void => audit.fault("wrong head of a stream", `${name}: ${text}`);
  if (first === null || last === null) return wrong(`head is ${head}, and the log has no event`);
  if (last.seq !== head) wrong(`head is ${head}, and the last event is ${last.seq}`);
  else if (last.id !== last_id) wrong(`last_id is ${last_id}, and event ${head} is ${last.id}`);
  const isForgotten = !reachesBack && first.seq > 1;
  if (previous_id !== null && !followed.has(previous_id) && !isForgotten)
    wrong(`previous_id is ${previous_id}, which is no event that the last commit followed`);
}

const idOf = (stream: string): string => stream.slice(stream.indexOf(":") + 1);
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Compares what the folds leave with the rows of the same snapshot. */
async function checkOwners(audit: Audit, query: Query, folds: Fold[]): Promise<void> {
  const ids = folds.map(({ row }) => idOf(row.name)).filter((id) => UUID.test(id));
  const projects = await query<ProjectRow>(
    `SELECT ${projectColumns.names} FROM projects.projects WHERE id = ANY ($1::uuid[])`,
    [ids],
  );
  const members = await query<MemberRow>(
    `SELECT ${memberColumns.names} FROM projects.members WHERE project_id = ANY ($1::uuid[])`,
    [ids],
  );
  const users = await query<{ id: string }>("SELECT id FROM users.users WHERE id = ANY ($1::uuid[])", [ids]);
  const projectOf = new Map(projects.map((row) => [`project:${row.id}`, row]));
  const membersOf = Map.groupBy(members, ({ project_id }) => `project:${project_id}`);
  const userStreams = new Set(users.map(({ id }) => `user:${id}`));
  for (const fold of folds) {
    const { name } = fold.row;
    const project = projectOf.get(name);
    if (project !== undefined) {
      checkProject(audit, fold, project);
      checkMembers(audit, fold, membersOf.get(name) ?? []);
    } else if (!userStreams.has(name)) audit.fault("stream without an owner", name);
    // The tasks of a deleted project are on their way out with it.
    if (project === undefined ? userStreams.has(name) : project.deleted_at === null)
      for (const [id, task] of fold.lostTasks)
        if (task !== null) audit.fault("task is gone", `${id} of ${name}`);
  }
  await checkLostComments(audit, query, folds);
}

function checkProject(audit: Audit, { project: told, first }: Fold, row: ProjectRow): void {
  const fault = (text: string) => audit.fault("project differs from its events", `${row.id}: ${text}`);
  if (told === null) {
    if (row.version > 1 && first?.seq === 1) fault(`version is ${row.version}, and the log has no change`);
    return;
  }
  const fields = differences(told, eventView(row));
  if (fields.length > 0) fault(explained(fields, told, eventView(row)));
}

function checkMembers(audit: Audit, { row, members: told, first }: Fold, members: MemberRow[]): void {
  const fault = (user: string, text: string) =>
    audit.fault("membership differs from its events", `${row.name}, user ${user}: ${text}`);
  for (const { user_id, role, created_at } of members) {
    const member = told.get(user_id);
    if (member === null) fault(user_id, `${role}, and removed in the log`);
    else if (member !== undefined) {
      const fields = differences(member, { user_id, role, created_at });
      if (fields.length > 0) fault(user_id, explained(fields, member, { user_id, role, created_at }));
    } else if (!mayBeForgotten(created_at, first)) fault(user_id, `${role}, and never added in the log`);
  }
  const there = new Set(members.map(({ user_id }) => user_id));
  for (const [user, member] of told)
    if (member !== null && !there.has(user)) fault(user, `no member, and ${member.role} in the log`);
}

async function checkLostComments(audit: Audit, query: Query, folds: Fold[]): Promise<void> {
  const lost = folds.flatMap(({ row, lostComments }) =>
    [...lostComments.values()].flatMap((comment) =>
      comment === null ? [] : [{ comment, stream: row.name }],
    ),
  );
  if (lost.length === 0) return;
  const tasks = await query<{ id: string; stream: string }>(
    `SELECT id, CASE WHEN project_id IS NULL THEN 'user:' || created_by ELSE 'project:' || project_id END AS stream
     FROM tasks.tasks WHERE id = ANY ($1::uuid[])`,
    [lost.map(({ comment }) => comment.task_id)],
  );
  const streams = new Map(tasks.map(({ id, stream }) => [id, stream]));
  // A task that was purged took its comments with it.
  for (const { comment, stream } of lost)
    if (streams.get(comment.task_id) === stream)
      audit.fault("comment is gone", `${comment.id} of task ${comment.task_id}`);
}
