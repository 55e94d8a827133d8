CREATE SCHEMA projects;

CREATE TABLE projects.projects (
  id uuid PRIMARY KEY,
  slug text NOT NULL CONSTRAINT projects_slug_key UNIQUE,
  name text NOT NULL,
  description text,
  status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived')),
  owner_id uuid NOT NULL REFERENCES users.users (id),
  version integer NOT NULL DEFAULT 1,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL,
  deleted_at timestamptz(3)
);

CREATE TABLE projects.members (
  project_id uuid NOT NULL REFERENCES projects.projects (id) ON DELETE CASCADE,
  user_id uuid NOT NULL REFERENCES users.users (id),
  role text NOT NULL CHECK (role IN ('viewer', 'member', 'manager', 'owner')),
  created_at timestamptz(3) NOT NULL,
  CONSTRAINT members_pkey PRIMARY KEY (project_id, user_id)
);
CREATE INDEX members_user_idx ON projects.members (user_id, project_id);

-- Published, read-only: who may see which project that is not deleted, and what tasks and the notifier need of it.
CREATE VIEW projects.memberships AS
SELECT m.project_id, m.user_id, m.role
FROM projects.members m
JOIN projects.projects p ON p.id = m.project_id
WHERE p.deleted_at IS NULL;

CREATE VIEW projects.summaries AS
SELECT id, slug, name, status
FROM projects.projects
WHERE deleted_at IS NULL;
