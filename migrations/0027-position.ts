import type pg from "pg";

/** Tasks that one transaction gives a position. */
const BATCH_TASKS = 5000;

/** Waits no longer for a lock than requests can: all others wait behind it (docs/operations.md, Migrations). */
const IN_A_MOMENT = "SET LOCAL lock_timeout = '2s'";

/**
 * Gives each task a place in the order of its project: its id, which is in the order of its time, until it is moved
 * (services/tasks/positions.ts). Nodes of the last version write tasks without one, which gets a default in the same order.
 *
 * Nodes serve meanwhile: each batch is committed, and no lock on the table lasts for more than one statement. A run that
 * ended half-way is repeated and finds only what is left to do.
 */
export async function up(client: pg.Client): Promise<void> {
  await client.query(`
    ${IN_A_MOMENT};
    ALTER TABLE tasks.tasks ADD COLUMN IF NOT EXISTS position text COLLATE "C";
    ALTER TABLE tasks.tasks ALTER COLUMN position SET DEFAULT
      lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0')
        || left(replace(gen_random_uuid()::text, '-', ''), 20);
    COMMIT`);
  for (let last = "00000000-0000-0000-0000-000000000000"; ;) {
    const { rows } = await client.query<{ id: string }>(
      `SELECT id FROM tasks.tasks WHERE id > $1 ORDER BY id LIMIT ${BATCH_TASKS}`,
      [last],
    );
    if (rows.length === 0) break;
    await client.query(
      `UPDATE tasks.tasks SET position = replace(id::text, '-', '')
       WHERE id > $1 AND id <= $2 AND position IS NULL`,
      [last, rows.at(-1)?.id],
    );
    last = rows.at(-1)?.id as string;
  }
  await client.query(`
    BEGIN;
    ${IN_A_MOMENT};
    ALTER TABLE tasks.tasks DROP CONSTRAINT IF EXISTS tasks_position_check;
    ALTER TABLE tasks.tasks ADD CONSTRAINT tasks_position_check CHECK (position IS NOT NULL) NOT VALID;
    COMMIT`);
  await client.query("ALTER TABLE tasks.tasks VALIDATE CONSTRAINT tasks_position_check");
  // Big tables get these before, by CREATE INDEX CONCURRENTLY: the migration finds them.
  await client.query(`
    BEGIN;
    ${IN_A_MOMENT};
    CREATE INDEX IF NOT EXISTS tasks_position_idx ON tasks.tasks (project_id, position, id)
      WHERE project_id IS NOT NULL;
    CREATE INDEX IF NOT EXISTS tasks_personal_position_idx ON tasks.tasks (created_by, position, id)
      WHERE project_id IS NULL;
    CREATE INDEX IF NOT EXISTS tasks_column_idx ON tasks.tasks (project_id, status, position, id)
      WHERE project_id IS NOT NULL AND deleted_at IS NULL;
    CREATE INDEX IF NOT EXISTS tasks_long_position_idx ON tasks.tasks (id) WHERE octet_length(position) > 64;
    -- The constraint says that there is no null, so Postgres does not look again.
    ALTER TABLE tasks.tasks ALTER COLUMN position SET NOT NULL;
    ALTER TABLE tasks.tasks DROP CONSTRAINT tasks_position_check;
    -- tasks_column_idx begins alike.
    DROP INDEX IF EXISTS tasks.tasks_project_status_idx`);
}
