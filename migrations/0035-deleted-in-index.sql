-- A list over projects looks at some tasks of each, and shows few of them: with deleted_at in the index it reads the rows of these
-- alone. On a large table make the first index by hand before, with CREATE INDEX CONCURRENTLY (docs/operations.md, Migrations).
SET LOCAL lock_timeout = '2s';
CREATE INDEX IF NOT EXISTS tasks_project_created_new_idx ON tasks.tasks (project_id, created_at, id) INCLUDE (deleted_at);
DROP INDEX tasks.tasks_project_created_idx;
ALTER INDEX tasks.tasks_project_created_new_idx RENAME TO tasks_project_created_idx;
