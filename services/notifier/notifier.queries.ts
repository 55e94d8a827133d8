import { isId } from "../../core/ids.ts";
import { type Actor, reaches } from "../../core/kit.ts";
import type { Queryable } from "../../mixins/database.ts";
import { projectStream, userStream } from "../../mixins/event-log.ts";

const PROJECT = "project:";

/** Whether `name` has the form of a stream's name. */
export function isStreamName(name: string): boolean {
  const id = /^(?:project|user):(.+)$/.exec(name)?.[1];
  return id !== undefined && isId(id) && id === id.toLowerCase();
}

/** The user's own stream. It carries personal tasks, so a token that is limited to projects gets null. */
export const ownStream = (actor: Actor): string | null =>
  reaches(actor, null) ? userStream(actor.id) : null;

/**
 * The streams of a user's projects, as far as the token reaches. If they are more than `most`, projects that the user
 * founded go first, then the longest memberships. Plan: members_user_idx.
 * @returns also how many were left out
 */
export async function projectStreams(
  db: Queryable,
  actor: Actor,
  most: number,
): Promise<{ names: string[]; leftOut: number }> {
  const rows = await db.query<{ project_id: string; all: number }>({
    name: "notifier-memberships",
    text: `SELECT project_id, count(*) OVER () AS all FROM projects.memberships
           WHERE user_id = $1 AND ($3::uuid[] IS NULL OR project_id = ANY ($3))
           ORDER BY founded DESC, since, project_id LIMIT $2`,
    values: [actor.id, most, actor.projects ?? null],
  });
  return {
    names: rows.map(({ project_id }) => projectStream(project_id)),
    leftOut: (rows[0]?.all ?? 0) - rows.length,
  };
}

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
  const rows = await db.query<{ id: string }>(
    actor.role === "user"
      ? {
          name: "notifier-readable",
          text: `SELECT project_id AS id FROM projects.memberships
                 WHERE user_id = $1 AND project_id = ANY ($2::uuid[])`,
          values: [actor.id, projects],
        }
      : {
          name: "notifier-readable-all",
          text: "SELECT id FROM projects.summaries WHERE id = ANY ($1::uuid[])",
          values: [projects],
        },
  );
  return new Set([...own, ...rows.map(({ id }) => projectStream(id))]);
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
