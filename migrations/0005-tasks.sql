CREATE SCHEMA tasks;

CREATE TABLE tasks.tasks (
  id uuid PRIMARY KEY,
  title text NOT NULL,
  description text,
  status text NOT NULL CHECK (status IN ('pending', 'in_progress', 'completed', 'cancelled', 'archived')),
  priority text NOT NULL CHECK (priority IN ('low', 'medium', 'high', 'urgent')),
  project_id uuid REFERENCES projects.projects (id),
  category_id uuid,
  created_by uuid NOT NULL REFERENCES users.users (id),
  assigned_to uuid REFERENCES users.users (id),
  due_date timestamptz(3),
  completed_at timestamptz(3),
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL,
  deleted_at timestamptz(3)
);
-- Lists: newest first (ids are time-ordered), of a project or personal, all or one status.
CREATE INDEX tasks_project_idx ON tasks.tasks (project_id, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tasks_project_status_idx ON tasks.tasks (project_id, status, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX tasks_personal_creator_idx ON tasks.tasks (created_by, id DESC) WHERE project_id IS NULL AND deleted_at IS NULL;
CREATE INDEX tasks_personal_assignee_idx ON tasks.tasks (assigned_to, id DESC) WHERE project_id IS NULL AND deleted_at IS NULL;
