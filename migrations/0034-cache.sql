-- What all nodes agree on about cached answers (mixins/cache-agreement.ts): one row, which the first node makes.
CREATE TABLE events.cache (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  -- The Redis, or the process, whose memory holds the answers.
  store text NOT NULL,
  -- Answers of an earlier epoch are void.
  epoch uuid NOT NULL DEFAULT gen_random_uuid(),
  -- No node takes an answer before this time.
  suspended_until timestamptz NOT NULL DEFAULT 'epoch'
);

-- Published, read-only: the names of people, for answers that show them beside something else.
CREATE VIEW users.people AS SELECT id, username, first_name, last_name FROM users.users;
