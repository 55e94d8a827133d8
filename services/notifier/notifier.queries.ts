import { isId } from "../../core/ids.ts";
import { type Actor, reaches } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { projectStream, userStream } from "../../mixins/event-log.ts";
import type { StreamHead } from "../../mixins/event-log.queries.ts";
import { batched } from "./batched.ts";

const PROJECT = "project:";

/** Whether `name` has the form of a stream's name. */
export function isStreamName(name: string): boolean {
  const id = /^(?:project|user):(.+)$/.exec(name)?.[1];
  return id !== undefined && isId(id) && id === id.toLowerCase();
}

/** The user's own stream. It carries personal tasks, so a token that is limited to projects gets null. */
export const ownStream = (actor: Actor): string | null =>
  reaches(actor, null) ? userStream(actor.id) : null;

interface MembershipsQuestion {
  actor: Actor;
  most: number;
}

export interface Memberships {
  /** The streams of the user's projects. */
  names: string[];
  /** How many streams were left out. */
  leftOut: number;
  /** Where the user's own stream was at the same moment: it tells of memberships from there on. */
  own: StreamHead;
}

/** Plan: members_user_idx, for each user, and primary key of events.streams. */
async function askMemberships(db: Queryable, questions: MembershipsQuestion[]): Promise<Memberships[]> {
  type Row = StreamHead & { nth: number; project_id: string | null; all: number | null };
  const rows = await db.query<Row>({
    name: "notifier-memberships",
    text: `SELECT asked.nth, m.project_id, m.all, asked.own AS name, coalesce(s.head, 0) AS head, s.last_id,
             coalesce(s.members_version, 0) AS members_version
           FROM unnest($1::uuid[], $2::text[], $3::text[], $4::int[])
             WITH ORDINALITY AS asked (user_id, own, projects, most, nth)
           LEFT JOIN events.streams s ON s.name = asked.own
           LEFT JOIN LATERAL (
             SELECT project_id, count(*) OVER () AS all FROM projects.memberships
             WHERE user_id = asked.user_id
               AND (asked.projects IS NULL OR project_id = ANY (asked.projects::uuid[]))
             ORDER BY founded DESC, since, project_id LIMIT asked.most) m ON true`,
    values: [
      questions.map(({ actor }) => actor.id),
      questions.map(({ actor }) => userStream(actor.id)),
      questions.map(({ actor }) => (actor.projects === undefined ? null : `{${actor.projects.join()}}`)),
      questions.map(({ most }) => most),
    ],
  });
  const found = Map.groupBy(rows, ({ nth }) => nth);
  return questions.map((_, at) => {
    const own = found.get(at + 1) as [Row, ...Row[]];
    const [{ name, head, last_id, members_version, all }] = own;
    const names = own.flatMap(({ project_id }) => (project_id === null ? [] : projectStream(project_id)));
    return {
      names,
      leftOut: (all ?? 0) - names.length,
      own: { name, head, last_id, members_version },
    };
  });
}

interface AccessQuestion {
  actor: Actor;
  streams: string[];
}

/** What an actor may read, and where the streams are, all of one moment. */
export interface Access {
  readable: Set<string>;
  /** Of those streams that have an event, perhaps among others. */
  heads: Map<string, StreamHead>;
}

/** The projects of `streams` that a token reaches. */
const reachedProjects = ({ actor, streams }: AccessQuestion): string[] =>
  streams
    .filter((name) => name.startsWith(PROJECT))
    .map((name) => name.slice(PROJECT.length))
    .filter((id) => reaches(actor, id));

/** Plan: primary keys of events.streams and projects.projects, an index of projects.members by user and project. */
async function askAccess(db: Queryable, questions: AccessQuestion[]): Promise<Access[]> {
  const asked = questions.map((question, nth) => ({
    nth,
    user: question.actor.role === "user" ? question.actor.id : null,
    own: ownStream(question.actor),
    projects: reachedProjects(question),
  }));
  const ofMembers = asked.filter(({ user }) => user !== null);
  // Managers and admins read all projects.
  const ofOthers = asked.filter(({ user }) => user === null);
  const each = <Value>(of: typeof asked, value: (one: (typeof asked)[number], project: string) => Value) =>
    of.flatMap((one) => one.projects.map((project) => value(one, project)));
  const rows = await db.query<StreamHead & { nth: number | null }>({
    name: "notifier-access",
    // A head has no number. Heads come once, however many ask for them.
    text: `SELECT NULL::int AS nth, name, head, last_id, members_version
           FROM events.streams WHERE name = ANY ($1::text[])
           UNION ALL
           SELECT asked.nth, 'project:' || m.project_id, NULL, NULL, NULL
           FROM unnest($2::int[], $3::uuid[], $4::uuid[]) AS asked (nth, user_id, project_id)
           JOIN projects.memberships m ON m.user_id = asked.user_id AND m.project_id = asked.project_id
           UNION ALL
           SELECT asked.nth, 'project:' || p.id, NULL, NULL, NULL
           FROM unnest($5::int[], $6::uuid[]) AS asked (nth, project_id)
           JOIN projects.summaries p ON p.id = asked.project_id`,
    values: [
      [...new Set(questions.flatMap(({ streams }) => streams))],
      each(ofMembers, ({ nth }) => nth),
      each(ofMembers, ({ user }) => user),
      each(ofMembers, (_, project) => project),
      each(ofOthers, ({ nth }) => nth),
      each(ofOthers, (_, project) => project),
    ],
  });
  const heads = new Map<string, StreamHead>();
  const readable = questions.map(
    ({ streams }, nth) => new Set(streams.filter((name) => name === asked[nth]?.own)),
  );
  for (const { nth, ...head } of rows)
    if (nth === null) heads.set(head.name, head);
    else readable[nth]?.add(head.name);
  return readable.map((own) => ({ readable: own, heads }));
}

const makeBatches = (db: Queryable) => ({
  memberships: batched(
    (questions: MembershipsQuestion[]) => askMemberships(db, questions),
    // Most users are in a few projects.
    () => 10,
  ),
  access: batched(
    (questions: AccessQuestion[]) => askAccess(db, questions),
    ({ streams }) => streams.length,
  ),
});
const batches = new WeakMap<Queryable, ReturnType<typeof makeBatches>>();

/** The questions to a database that are asked together. */
function batchesOf(db: Queryable): ReturnType<typeof makeBatches> {
  let own = batches.get(db);
  if (own === undefined) batches.set(db, (own = makeBatches(db)));
  return own;
}

/**
 * The streams of a user's projects, as far as the token reaches. If they are more than `most`, projects that the user
 * founded go first, then the longest memberships.
 */
export const projectStreams = (db: Queryable, actor: Actor, most: number): Promise<Memberships> =>
  batchesOf(db).memberships({ actor, most });

/**
 * Those of `streams` that a user may read: the user's own, and those of projects that the user may see; and where the
 * streams are. Postgres knows of a lost membership even while all brokers are down.
 */
export const accessOf = (db: Queryable, actor: Actor, streams: string[]): Promise<Access> =>
  batchesOf(db).access({ actor, streams });

/** Those of `streams` that a user may read. */
export const readableStreams = async (db: Queryable, actor: Actor, streams: string[]): Promise<Set<string>> =>
  (await accessOf(db, actor, streams)).readable;

/** Those of `actors` that may read one stream, by their ids. */
export async function readersOf(db: Queryable, stream: string, actors: Actor[]): Promise<Set<string>> {
  if (!stream.startsWith(PROJECT))
    return new Set(actors.map(({ id }) => id).filter((id) => userStream(id) === stream));
  const rows = await db.query<{ user_id: string | null }>({
    name: "notifier-readers",
    text: `SELECT m.user_id
           FROM projects.summaries p
           LEFT JOIN projects.memberships m ON m.project_id = p.id AND m.user_id = ANY ($2::uuid[])
           WHERE p.id = $1`,
    values: [stream.slice(PROJECT.length), actors.map(({ id }) => id)],
  });
  const members = new Set(rows.map(({ user_id }) => user_id));
  const readers = actors.filter(({ id, role }) => members.has(id) || (rows.length > 0 && role !== "user"));
  return new Set(readers.map(({ id }) => id));
}
