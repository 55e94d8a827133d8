-- What ends all sessions of an account counts its generation on, in the same commit: a new role or password, the end of
-- the account. A session of an earlier generation is over, but for the one that changed the password.
ALTER TABLE users.users
  ADD COLUMN sessions_generation integer NOT NULL DEFAULT 1,
  ADD COLUMN sessions_ended_at timestamptz(3),
  ADD COLUMN kept_session uuid;
CREATE INDEX users_sessions_ended_idx ON users.users (sessions_ended_at) WHERE sessions_ended_at IS NOT NULL;
-- Whatever was left open to a deactivated account must not open again with it.
UPDATE users.users SET sessions_generation = 2, sessions_ended_at = clock_timestamp() WHERE NOT is_active;

-- Published, read-only: what auth judges sessions and tokens by.
CREATE VIEW users.standings AS
SELECT id, role, is_active, sessions_generation AS generation, sessions_ended_at AS ended_at, kept_session
FROM users.users;

ALTER TABLE auth.sessions ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE auth.personal_tokens ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE auth.one_time_tokens ADD COLUMN generation integer NOT NULL DEFAULT 1;

-- What is left to do after sessions ended, by whichever node is up: written by the commit that ended them.
CREATE TABLE users.endings (
  user_id uuid PRIMARY KEY REFERENCES users.users (id) ON DELETE CASCADE,
  generation integer NOT NULL,
  -- Of an erased account: its projects and tasks are left too.
  erased_by uuid,
  -- When a node may take it up: later than that of the one that is at work on it.
  due_at timestamptz(3) NOT NULL,
  -- Until then requests that began before the end may still add something.
  settles_at timestamptz(3) NOT NULL
);
CREATE INDEX endings_due_idx ON users.endings (due_at);
-- Erasures and deactivations of before may have stopped halfway.
INSERT INTO users.endings (user_id, generation, erased_by, due_at, settles_at)
SELECT id, sessions_generation, CASE WHEN erased_at IS NOT NULL THEN id END, clock_timestamp(), clock_timestamp()
FROM users.users WHERE NOT is_active;

-- Published, read-only: what gateways and notifiers must refuse though its signature is good. An access token
-- lives for minutes; a day is more than any of them. What is behind its account's generation ended when that was counted on.
CREATE OR REPLACE VIEW auth.revoked AS
SELECT id AS session_id, user_id, revoked_at FROM auth.sessions WHERE revoked_at > now() - interval '1 day'
UNION ALL
SELECT id, user_id, revoked_at FROM auth.personal_tokens WHERE revoked_at > now() - interval '1 day'
UNION ALL
SELECT s.id, s.user_id, a.ended_at
FROM users.standings a JOIN auth.sessions s ON s.user_id = a.id
WHERE a.ended_at > now() - interval '1 day' AND s.revoked_at IS NULL
  AND s.generation <> a.generation AND s.id IS DISTINCT FROM a.kept_session
UNION ALL
SELECT t.id, t.user_id, a.ended_at
FROM users.standings a JOIN auth.personal_tokens t ON t.user_id = a.id
WHERE a.ended_at > now() - interval '1 day' AND t.revoked_at IS NULL AND t.generation <> a.generation;
