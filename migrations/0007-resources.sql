-- What a POST with an Idempotency-Key answered, written by mixins/idempotency.ts in the write's own statement.
CREATE SCHEMA idempotency;

CREATE TABLE idempotency.keys (
  user_id uuid NOT NULL REFERENCES users.users (id) ON DELETE CASCADE,
  key text NOT NULL,
  fingerprint text NOT NULL,
  response json NOT NULL,
  kept_until timestamptz(3) NOT NULL,
  CONSTRAINT keys_pkey PRIMARY KEY (user_id, key)
);
CREATE INDEX keys_kept_until_idx ON idempotency.keys (kept_until);

CREATE TABLE tasks.categories (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users.users (id) ON DELETE CASCADE,
  name text NOT NULL,
  color text NOT NULL CHECK (color ~ '^#[0-9A-F]{6}$'),
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL,
  -- Gone for its owner; the row stays until no task refers to it any more.
  deleted_at timestamptz(3)
);
CREATE UNIQUE INDEX categories_name_key ON tasks.categories (user_id, lower(name)) WHERE deleted_at IS NULL;
CREATE INDEX categories_deleted_idx ON tasks.categories (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE tasks.comments (
  id uuid PRIMARY KEY,
  task_id uuid NOT NULL REFERENCES tasks.tasks (id) ON DELETE CASCADE,
  author_id uuid NOT NULL REFERENCES users.users (id),
  body text NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL
);
CREATE INDEX comments_task_idx ON tasks.comments (task_id, created_at, id);

ALTER TABLE tasks.tasks
  ADD CONSTRAINT tasks_category_id_fkey FOREIGN KEY (category_id) REFERENCES tasks.categories (id),
  -- The due date that was announced as near: another one is announced anew.
  ADD COLUMN announced_due_date timestamptz(3),
  -- English stems; words of other languages match as they are written.
  ADD COLUMN words tsvector GENERATED ALWAYS AS (
    setweight(to_tsvector('english', title), 'A') || setweight(to_tsvector('english', coalesce(description, '')), 'B')
  ) STORED;
CREATE INDEX tasks_words_idx ON tasks.tasks USING gin (words);

-- Lists: by scope (a project, what is personal to somebody, what is assigned to them), then in the order of the sort. A
-- sort that has no index of its own sorts what its scope holds. Deleted tasks are few, and can be listed too.
DROP INDEX tasks.tasks_project_idx;
DROP INDEX tasks.tasks_personal_creator_idx;
DROP INDEX tasks.tasks_personal_assignee_idx;
CREATE INDEX tasks_project_created_idx ON tasks.tasks (project_id, created_at, id);
CREATE INDEX tasks_project_updated_idx ON tasks.tasks (project_id, updated_at, id);
CREATE INDEX tasks_project_due_idx ON tasks.tasks (project_id, (coalesce(due_date, 'infinity')), id);
CREATE INDEX tasks_personal_idx ON tasks.tasks (created_by, created_at, id) WHERE project_id IS NULL;
CREATE INDEX tasks_assigned_idx ON tasks.tasks (assigned_to, created_at, id) WHERE assigned_to IS NOT NULL;
-- For who sees everything. Partial, so that no other list takes it for a way to read its own tasks in order: that would
-- walk over everybody's.
CREATE INDEX tasks_created_idx ON tasks.tasks (created_at, id) WHERE created_at > '-infinity';
CREATE INDEX tasks_category_idx ON tasks.tasks (category_id) WHERE category_id IS NOT NULL;
CREATE INDEX tasks_due_soon_idx ON tasks.tasks (due_date)
  WHERE deleted_at IS NULL AND status IN ('pending', 'in_progress') AND announced_due_date IS DISTINCT FROM due_date;
CREATE INDEX tasks_deleted_idx ON tasks.tasks (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE INDEX projects_created_idx ON projects.projects (created_at, id) WHERE created_at > '-infinity';
CREATE INDEX projects_deleted_idx ON projects.projects (deleted_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX members_joined_idx ON projects.members (project_id, created_at, user_id);

-- People are found by any part of their names.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE INDEX users_names_idx ON users.users USING gin (
  username gin_trgm_ops,
  (coalesce(first_name, '') || ' ' || coalesce(last_name, '')) gin_trgm_ops,
  email gin_trgm_ops
);
