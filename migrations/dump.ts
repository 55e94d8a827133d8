import pg from "pg";

/** Each object of the schema with its place in the dump: an object comes after those that it needs. */
const QUERY = `
WITH own AS (SELECT oid, nspname FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public', 'jobs')),
columns AS (
  SELECT a.attrelid, string_agg(
    format(E'  %I %s%s%s%s', a.attname, format_type(a.atttypid, a.atttypmod),
      CASE WHEN a.attcollation <> t.typcollation THEN format(' COLLATE %s', a.attcollation::regcollation) ELSE '' END,
      CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END,
      CASE WHEN a.attgenerated = 's' THEN format(' GENERATED ALWAYS AS (%s) STORED', pg_get_expr(d.adbin, d.adrelid))
           WHEN d.adbin IS NOT NULL THEN ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) ELSE '' END),
    E',\\n' ORDER BY a.attnum) AS list
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
  WHERE a.attnum > 0 AND NOT a.attisdropped GROUP BY a.attrelid
)
SELECT 1 AS step, nspname AS name, format('CREATE SCHEMA %I;', nspname) AS sql FROM own
UNION ALL
SELECT 2, c.oid::regclass::text, format(E'CREATE TABLE %s (\\n%s\\n)%s;', c.oid::regclass, columns.list,
  CASE WHEN c.reloptions IS NULL THEN '' ELSE format(' WITH (%s)', array_to_string(c.reloptions, ', ')) END)
FROM pg_class c JOIN own ON own.oid = c.relnamespace JOIN columns ON columns.attrelid = c.oid WHERE c.relkind = 'r'
UNION ALL
SELECT CASE con.contype WHEN 'f' THEN 4 ELSE 3 END, con.conrelid::regclass || '.' || con.conname,
  format('ALTER TABLE %s ADD CONSTRAINT %I %s;', con.conrelid::regclass, con.conname, pg_get_constraintdef(con.oid))
FROM pg_constraint con JOIN own ON own.oid = con.connamespace WHERE con.contype IN ('p', 'u', 'c', 'f', 'x')
UNION ALL
SELECT 5, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) || ';'
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN own ON own.oid = c.relnamespace
WHERE c.relkind = 'r' AND NOT EXISTS (SELECT FROM pg_constraint con WHERE con.conindid = i.indexrelid)
UNION ALL
SELECT 6, c.oid::regclass::text, format(E'CREATE VIEW %s AS\\n%s', c.oid::regclass, pg_get_viewdef(c.oid, true))
FROM pg_class c JOIN own ON own.oid = c.relnamespace WHERE c.relkind = 'v'
UNION ALL
SELECT 1.5, p.oid::regprocedure::text, pg_get_functiondef(p.oid) || ';'
FROM pg_proc p JOIN own ON own.oid = p.pronamespace
UNION ALL
SELECT 8, t.tgrelid::regclass || '.' || t.tgname, pg_get_triggerdef(t.oid) || ';'
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN own ON own.oid = c.relnamespace WHERE NOT t.tgisinternal
ORDER BY 1, 2`;

/**
 * The schema of a migrated database as SQL, without pg-boss' own: the content of migrations/schema.sql, the same for the
 * same schema. It comes from the catalog: the embedded Postgres has no pg_dump, and a system's own refuses newer servers.
 */
export async function dumpSchema(databaseUrl: string): Promise<string> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    // With an empty path Postgres writes every name with its schema.
    await client.query("SET search_path TO ''");
    const { rows } = await client.query<{ sql: string }>(QUERY);
    return `-- Made by \`npm run schema\` from the migrations; do not edit.\n\n${rows.map(({ sql }) => sql).join("\n\n")}\n`;
  } finally {
    await client.end();
  }
}
