-- A deleted project keeps its slug for its return, and keeps nobody else from it.
ALTER TABLE projects.projects DROP CONSTRAINT projects_slug_key;
CREATE UNIQUE INDEX projects_slug_key ON projects.projects (slug) WHERE deleted_at IS NULL;
CREATE INDEX projects_deleted_slug_idx ON projects.projects (slug) WHERE deleted_at IS NOT NULL;
