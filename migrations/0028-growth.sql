-- Lists that had to read all tasks of a project or of everybody. On a large table make these by hand before, each with
-- CREATE INDEX CONCURRENTLY (docs/operations.md, Migrations).
SET LOCAL lock_timeout = '2s';

-- What somebody created; their personal tasks have tasks_personal_idx.
CREATE INDEX IF NOT EXISTS tasks_creator_idx ON tasks.tasks (created_by, created_at, id) WHERE project_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS tasks_project_priority_idx ON tasks.tasks
  (project_id, (array_position('{low,medium,high,urgent}'::text[], priority)), id);
-- What is overdue: of all tasks few are open, and of these few have a due date.
CREATE INDEX IF NOT EXISTS tasks_open_due_idx ON tasks.tasks (project_id, due_date)
  WHERE deleted_at IS NULL AND status IN ('pending', 'in_progress') AND due_date IS NOT NULL;
