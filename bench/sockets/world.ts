/** What `npm run bench:sockets` fills into the database: a user for each socket, teams, and a project that all are in. */
import pg from "pg";
import { loadConfig } from "../../core/config.ts";
import { newId } from "../../core/ids.ts";
import { createTokens } from "../../core/tokens.ts";
import { projectStream, userStream } from "../../mixins/event-log.ts";

/** Members of a team. */
export const TEAM = 20;

export interface Member {
  token: string;
  /** The streams of the user: one's own, the team's project, and the project of all. */
  rooms: [own: string, team: string, all: string];
}

export interface World {
  members: Member[];
  /** Ids of the projects. The writer is in all of them. */
  all: string;
  teams: string[];
}

/**
 * Fills in users and projects, each stream with an event in its log.
 * @param writer id of the user who owns the projects
 */
export async function makeWorld(
  databaseUrl: string,
  env: Record<string, string>,
  writer: string,
  sockets: number,
): Promise<World> {
  const tokens = createTokens(loadConfig(env));
  const users = Array.from({ length: sockets }, newId);
  const sessions = users.map(newId);
  const teams = Array.from({ length: Math.ceil(sockets / TEAM) }, newId);
  const all = newId();
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const run = (text: string, ...values: unknown[]) => client.query(text, values);
  await run("BEGIN");
  await run(
    `INSERT INTO users.users (id, email, username, password_hash, created_at, updated_at, email_key, username_key)
     SELECT id, id, id, '', now(), now(), id, id FROM unnest($1::uuid[]) AS id`,
    users,
  );
  await run(
    `INSERT INTO auth.sessions (id, user_id, created_at)
     SELECT id, user_id, now() FROM unnest($1::uuid[], $2::uuid[]) AS s (id, user_id)`,
    sessions,
    users,
  );
  await run(
    `INSERT INTO projects.projects (id, slug, name, owner_id, created_at, updated_at)
     SELECT id, id, 'Bench', $2, now(), now() FROM unnest($1::uuid[]) AS id`,
    [all, ...teams],
    writer,
  );
  await run(
    `INSERT INTO projects.members (project_id, user_id, role, created_at)
     SELECT id, $2, 'owner', now() FROM unnest($1::uuid[]) AS id`,
    [all, ...teams],
    writer,
  );
  await run(
    `INSERT INTO projects.members (project_id, user_id, role, created_at)
     SELECT $2, id, 'member', now() FROM unnest($1::uuid[]) AS id
     UNION ALL SELECT ($3::uuid[])[1 + (nth - 1) / $4], id, 'member', now()
     FROM unnest($1::uuid[]) WITH ORDINALITY AS u (id, nth)`,
    users,
    all,
    teams,
    TEAM,
  );
  await run(
    `WITH s AS (
       INSERT INTO events.streams (name, head, members_version, last_id)
       SELECT name, 1, 1, gen_random_uuid() FROM unnest($1::text[]) AS name RETURNING name, last_id)
     INSERT INTO events.log (stream, seq, id, type, time, request_id, data)
     SELECT name, 1, last_id, 'task_due_soon', now(), gen_random_uuid(), '{}' FROM s`,
    [...users.map(userStream), ...[all, ...teams].map(projectStream)],
  );
  await run("COMMIT");
  await run("VACUUM ANALYZE");
  await client.end();
  const members = users.map((id, nth): Member => ({
    token: tokens.sign({ id, role: "user", session: sessions[nth] as string }).token,
    rooms: [userStream(id), projectStream(teams[Math.floor(nth / TEAM)] as string), projectStream(all)],
  }));
  return { members, all, teams };
}
