-- Text is kept in Unicode NFC from here on (core/rules.ts): what was written before follows, and only the rows that need it.
UPDATE tasks.tasks SET title = normalize(title, NFC) WHERE title IS NOT NFC NORMALIZED;
UPDATE tasks.tasks SET description = normalize(description, NFC) WHERE description IS NOT NFC NORMALIZED;
UPDATE tasks.comments SET body = normalize(body, NFC) WHERE body IS NOT NFC NORMALIZED;
UPDATE projects.projects SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;
UPDATE projects.projects SET description = normalize(description, NFC) WHERE description IS NOT NFC NORMALIZED;
UPDATE users.users SET first_name = normalize(first_name, NFC) WHERE first_name IS NOT NFC NORMALIZED;
UPDATE users.users SET last_name = normalize(last_name, NFC) WHERE last_name IS NOT NFC NORMALIZED;
UPDATE auth.personal_tokens SET name = normalize(name, NFC) WHERE name IS NOT NFC NORMALIZED;

-- Two categories of one user may have become one name: then the second keeps its old spelling until it is renamed.
DO $$
DECLARE one record;
BEGIN
  FOR one IN SELECT id, name FROM tasks.categories WHERE name IS NOT NFC NORMALIZED ORDER BY id LOOP
    BEGIN
      UPDATE tasks.categories SET name = normalize(one.name, NFC) WHERE id = one.id;
    EXCEPTION WHEN unique_violation THEN
      NULL;
    END;
  END LOOP;
END $$;
