-- Since when somebody belongs to a project, and whether they founded it: who belongs to more projects than a socket has
-- room for keeps these first, so that nobody is pushed out of one by being added to others.
CREATE OR REPLACE VIEW projects.memberships AS
SELECT m.project_id, m.user_id, m.role,
  m.created_at AS since, m.role = 'owner' AND m.created_at = p.created_at AS founded
FROM projects.members m
JOIN projects.projects p ON p.id = m.project_id
WHERE p.deleted_at IS NULL;
