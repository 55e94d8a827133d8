-- A personal access token can be limited to some projects. No foreign key: one that is gone is simply not reached.
ALTER TABLE auth.personal_tokens ADD COLUMN project_ids uuid[];
