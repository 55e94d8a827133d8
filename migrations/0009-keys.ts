import type pg from "pg";
import { keyOf } from "../core/text.ts";

/** Rows that one statement fills. */
const BATCH_ROWS = 5000;

interface Filled {
  table: string;
  /** Columns of names; each gets a column for its key: `email` gets `email_key`. */
  names: readonly string[];
}

/** Fills the keys of a table's names, one batch in each statement. */
async function fill(client: pg.Client, { table, names }: Filled): Promise<void> {
  const set = names.map((name, at) => `${name}_key = filled.key${at}`).join(", ");
  const arrays = names.map((_name, at) => `$${at + 2}::text[]`).join(", ");
  const columns = names.map((_name, at) => `key${at}`).join(", ");
  for (let last = "00000000-0000-0000-0000-000000000000"; ;) {
    const { rows } = await client.query<Record<string, string>>(
      `SELECT id, ${names.join(", ")} FROM ${table} WHERE id > $1 ORDER BY id LIMIT ${BATCH_ROWS}`,
      [last],
    );
    if (rows.length === 0) return;
    await client.query(
      `UPDATE ${table} t SET ${set} FROM unnest($1::uuid[], ${arrays}) AS filled (id, ${columns}) WHERE t.id = filled.id`,
      [rows.map(({ id }) => id), ...names.map((name) => rows.map((row) => keyOf(row[name] as string)))],
    );
    last = rows.at(-1)?.id as string;
  }
}

/**
 * Finds accounts that differ by the server's lower() and have the same key. Only the operator knows whose address it is, so
 * the migration fails and names the accounts by their ids alone.
 */
async function mustDiffer(client: pg.Client, name: "email" | "username"): Promise<void> {
  const { rows } = await client.query<{ ids: string }>(
    `SELECT string_agg(id::text, ' and ' ORDER BY created_at) AS ids FROM users.users
     GROUP BY ${name}_key HAVING count(*) > 1`,
  );
  if (rows.length > 0)
    throw new Error(
      `The accounts ${rows.map(({ ids }) => ids).join("; ")} have the same ${name} but for the case or composition of ` +
        `its letters: give all but one another (UPDATE users.users SET ${name} = … WHERE id = …), then start again.`,
    );
}

/** Renames categories that share a key with an older one: nothing refers to a category by its name. */
async function tellCategoriesApart(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ id: string; user_id: string; name: string; name_key: string }>(
    `SELECT id, user_id, name, name_key FROM tasks.categories c
     WHERE deleted_at IS NULL AND EXISTS (
       SELECT FROM tasks.categories o
       WHERE o.user_id = c.user_id AND o.name_key = c.name_key AND o.id <> c.id AND o.deleted_at IS NULL)
     ORDER BY user_id, created_at, id`,
  );
  const first = new Set<string>();
  for (const { id, user_id, name, name_key } of rows) {
    const place = `${user_id} ${name_key}`;
    if (first.has(place)) {
      // A name has at most 50 characters; the end of the id makes it unique.
      const renamed = `${[...name].slice(0, 36).join("")} ${id.slice(-12)}`;
      await client.query(
        `UPDATE tasks.categories SET name = $2, name_key = $3, version = version + 1, updated_at = now() WHERE id = $1`,
        [id, renamed, keyOf(renamed)],
      );
    }
    first.add(place);
  }
}

/** Keys that core/text.ts makes replace the server's lower() in lookups and unique indexes. */
export async function up(client: pg.Client): Promise<void> {
  await client.query(`
    ALTER TABLE users.users ADD COLUMN email_key text COLLATE "C", ADD COLUMN username_key text COLLATE "C";
    ALTER TABLE tasks.categories ADD COLUMN name_key text COLLATE "C"`);
  await fill(client, { table: "users.users", names: ["email", "username"] });
  await fill(client, { table: "tasks.categories", names: ["name"] });
  await mustDiffer(client, "email");
  await mustDiffer(client, "username");
  await tellCategoriesApart(client);
  await client.query(`
    ALTER TABLE users.users ALTER COLUMN email_key SET NOT NULL, ALTER COLUMN username_key SET NOT NULL;
    ALTER TABLE tasks.categories ALTER COLUMN name_key SET NOT NULL;
    DROP INDEX users.users_email_key;
    DROP INDEX users.users_username_key;
    DROP INDEX tasks.categories_name_key;
    CREATE UNIQUE INDEX users_email_key ON users.users (email_key);
    CREATE UNIQUE INDEX users_username_key ON users.users (username_key);
    CREATE UNIQUE INDEX categories_name_key ON tasks.categories (user_id, name_key) WHERE deleted_at IS NULL`);
}
