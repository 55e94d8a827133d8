-- What is personal and assigned to somebody: few tasks, which lay among all that the person has in projects.
SET LOCAL lock_timeout = '2s';
CREATE INDEX IF NOT EXISTS tasks_personal_assigned_idx ON tasks.tasks (assigned_to, created_at, id)
  WHERE project_id IS NULL AND assigned_to IS NOT NULL;
