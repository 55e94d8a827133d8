/** What else can be wrong and is cheap to ask: owners, references, constraints, and work that jobs leave undone. */
import { readFile } from "node:fs/promises";
import { dumpSchema } from "../../migrations/dump.ts";
import { type Audit, NAMED } from "./audit.ts";

const PROJECTS_AT_ONCE = 2000;
const NIL = "00000000-0000-0000-0000-000000000000";

/** Each project, deleted or not, has an owner among its members, and a stream. */
export async function checkProjects(audit: Audit): Promise<void> {
  for (let after: string | null = NIL; after !== null;) {
    const rows: { id: string; owned: boolean; streamed: boolean }[] = await audit.query(
      // Scalar subqueries: of EXISTS Postgres may make a hash of the whole table, for each page.
      `SELECT id, (SELECT role = 'owner' FROM projects.members
                   WHERE project_id = p.id AND user_id = p.owner_id) IS TRUE AS owned,
              (SELECT true FROM events.streams WHERE name = 'project:' || p.id) IS TRUE AS streamed
       FROM projects.projects p WHERE id > $1 ORDER BY id LIMIT $2`,
      [after, PROJECTS_AT_ONCE],
    );
    for (const { id, owned, streamed } of rows) {
      if (!owned)
        audit.fault("project without an owner", `${id}: its owner_id is no owner among its members`);
      if (!streamed) audit.fault("project without a stream", id);
    }
    audit.examined(rows.length);
    after = rows.length < PROJECTS_AT_ONCE ? null : (rows.at(-1)?.id ?? null);
  }
}

/** Blocks of a table that one statement reads: 8 MB. */
const BLOCKS_AT_ONCE = 1000;

interface ForeignKey {
  table: string;
  column: string;
  target: string;
  key: string;
  blocks: number;
}

/** The rows behind each foreign key. Postgres guards them, unless somebody switches its triggers off. */
export async function checkReferences(audit: Audit): Promise<void> {
  const keys = await audit.query<ForeignKey>(
    `SELECT c.conrelid::regclass::text AS table, a.attname AS column, c.confrelid::regclass::text AS target,
            b.attname AS key, (pg_relation_size(c.conrelid) / current_setting('block_size')::int)::int AS blocks
     FROM pg_constraint c
       JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
       JOIN pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = c.confkey[1]
     -- The streams' own check looks at the log.
     WHERE c.contype = 'f' AND c.connamespace::regnamespace::text = ANY ($1) AND c.conrelid <> 'events.log'::regclass
     ORDER BY 1, 2`,
    [["users", "auth", "projects", "tasks", "idempotency"]],
  );
  for (const { table, column, target, key, blocks } of keys)
    for (let block = 0; block < blocks; block += BLOCKS_AT_ONCE) {
      const rows = await audit.query<{ id: string | null; missing: string }>(
        `SELECT to_jsonb(c) ->> 'id' AS id, c.${column} AS missing FROM ${table} c
         WHERE ctid >= '(${block},0)' AND ctid < '(${block + BLOCKS_AT_ONCE},0)' AND c.${column} IS NOT NULL
           AND NOT EXISTS (SELECT FROM ${target} WHERE ${key} = c.${column})`,
      );
      for (const { id, missing } of rows)
        audit.fault("dangling reference", `${table} ${id ?? ""}: ${column} ${missing} is not in ${target}`);
      audit.examined(1);
    }
}

const GUARDS = /^ALTER TABLE .* ADD CONSTRAINT .* (PRIMARY KEY|UNIQUE|FOREIGN KEY) |^CREATE UNIQUE INDEX /;
const guardsOf = (schema: string): string[] => schema.split("\n\n").filter((sql) => GUARDS.test(sql));

/** Keys, unique indexes and foreign keys: with them, Postgres itself keeps rows from being doubled. */
export async function checkConstraints(audit: Audit, url: string): Promise<void> {
  const file = new URL("../../migrations/schema.sql", import.meta.url);
  const expected = guardsOf(await readFile(file, "utf8"));
  const found = new Set(guardsOf(await dumpSchema(url)).map((sql) => sql.trim()));
  for (const sql of expected) if (!found.has(sql.trim())) audit.fault("missing constraint", sql.trim());
  audit.examined(expected.length);
}

/** Rows that a job should have removed, each with how it is named. */
const LEFTOVERS = [
  `SELECT 'an answer under an idempotency key of user ' || user_id || ' expired at ' || kept_until AS what
   FROM idempotency.keys WHERE kept_until < now() - interval '15 minutes' ORDER BY kept_until`,
  `SELECT 'an answer under an idempotency key of user ' || user_id || ' is kept until ' || kept_until AS what
   FROM idempotency.keys WHERE kept_until > now() + interval '25 hours' ORDER BY kept_until DESC`,
  `SELECT 'category ' || id || ' was deleted at ' || deleted_at AS what
   FROM tasks.categories WHERE deleted_at < now() - interval '1 hour' ORDER BY deleted_at`,
  `SELECT 'the cleanup after the end of user ' || user_id || ' was due at ' || settles_at AS what
   FROM users.endings WHERE settles_at < now() - interval '1 hour' ORDER BY settles_at`,
];

export async function checkLeftovers(audit: Audit): Promise<void> {
  for (const sql of LEFTOVERS) {
    const rows = await audit.query<{ what: string }>(`${sql} LIMIT ${NAMED + 1}`);
    for (const { what } of rows) audit.fault("overdue job", what);
    audit.examined(rows.length);
  }
}
