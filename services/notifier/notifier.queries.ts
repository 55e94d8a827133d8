import { isId } from "../../core/ids.ts";
import { type Actor, reaches } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { projectStream, userStream } from "../../mixins/event-log.ts";
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

interface Memberships {
  names: string[];
  /** How many streams were left out. */
  leftOut: number;
}

/** Plan: members_user_idx, for each user. */
async function askMemberships(db: Queryable, questions: MembershipsQuestion[]): Promise<Memberships[]> {
  const rows = await db.query<{ nth: number; project_id: string; all: number }>({
    name: "notifier-memberships",
    text: `SELECT asked.nth, m.project_id, m.all
           FROM unnest($1::uuid[], $2::text[], $3::int[]) WITH ORDINALITY AS asked (user_id, projects, most, nth)
           CROSS JOIN LATERAL (
             SELECT project_id, count(*) OVER () AS all FROM projects.memberships
             WHERE user_id = asked.user_id
               AND (asked.projects IS NULL OR project_id = ANY (asked.projects::uuid[]))
             ORDER BY founded DESC, since, project_id LIMIT asked.most) m`,
    values: [
      questions.map(({ actor }) => actor.id),
      questions.map(({ actor }) => (actor.projects === undefined ? null : `{${actor.projects.join()}}`)),
      questions.map(({ most }) => most),
    ],
  });
  const found = Map.groupBy(rows, ({ nth }) => nth);
  return questions.map((_, at) => {
    const own = found.get(at + 1) ?? [];
    return {
      names: own.map(({ project_id }) => projectStream(project_id)),
      leftOut: (own[0]?.all ?? 0) - own.length,
    };
  });
}

interface ReadableQuestion {
  user: string;
  projects: string[];
}

/** Plan: primary key of projects.members. */
async function askReadable(db: Queryable, questions: ReadableQuestion[]): Promise<string[][]> {
  const rows = await db.query<{ nth: number; id: string }>({
    name: "notifier-readable",
    text: `SELECT asked.nth, m.project_id AS id
           FROM unnest($1::int[], $2::uuid[], $3::uuid[]) AS asked (nth, user_id, project_id)
           JOIN projects.memberships m ON m.user_id = asked.user_id AND m.project_id = asked.project_id`,
    values: [
      questions.flatMap(({ projects }, nth) => projects.map(() => nth)),
      questions.flatMap(({ user, projects }) => projects.map(() => user)),
      questions.flatMap(({ projects }) => projects),
    ],
  });
  const found = Map.groupBy(rows, ({ nth }) => nth);
  return questions.map((_, nth) => (found.get(nth) ?? []).map(({ id }) => id));
}

const makeBatches = (db: Queryable) => ({
  memberships: batched(
    (questions: MembershipsQuestion[]) => askMemberships(db, questions),
    // Most users are in a few projects.
    () => 10,
  ),
  readable: batched(
    (questions: ReadableQuestion[]) => askReadable(db, questions),
    ({ projects }) => projects.length,
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
 * Those of `streams` that a user may read: the user's own, and those of projects that the user may see. Postgres knows of a
 * lost membership even while all brokers are down.
 */
export async function readableStreams(db: Queryable, actor: Actor, streams: string[]): Promise<Set<string>> {
  const projects = streams
    .filter((name) => name.startsWith(PROJECT))
    .map((name) => name.slice(PROJECT.length))
    .filter((id) => reaches(actor, id));
  const own = streams.filter((name) => name === ownStream(actor));
  if (projects.length === 0) return new Set(own);
  const ids =
    actor.role === "user"
      ? await batchesOf(db).readable({ user: actor.id, projects })
      : await existing(db, projects);
  return new Set([...own, ...ids.map(projectStream)]);
}

/** Those of `projects` that are there, which managers and admins may read. Plan: primary key of projects.projects. */
async function existing(db: Queryable, projects: string[]): Promise<string[]> {
  const rows = await db.query<{ id: string }>({
    name: "notifier-readable-all",
    text: "SELECT id FROM projects.summaries WHERE id = ANY ($1::uuid[])",
    values: [projects],
  });
  return rows.map(({ id }) => id);
}

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
