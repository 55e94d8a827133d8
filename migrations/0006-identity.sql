-- Erased accounts keep their row, for what they created, and nothing that tells who they were.
ALTER TABLE users.users ADD COLUMN erased_at timestamptz(3);

ALTER TABLE auth.sessions
  ADD COLUMN last_used_at timestamptz(3) NOT NULL DEFAULT now(),
  ADD COLUMN user_agent text,
  ADD COLUMN address text;
CREATE INDEX sessions_revoked_idx ON auth.sessions (revoked_at) WHERE revoked_at IS NOT NULL;

-- Personal access tokens for machines. Stored as SHA-256 alone, like every token.
CREATE TABLE auth.personal_tokens (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users.users (id) ON DELETE CASCADE,
  name text NOT NULL,
  scope text NOT NULL CHECK (scope IN ('read', 'write')),
  hash bytea NOT NULL CONSTRAINT personal_tokens_hash_key UNIQUE,
  created_at timestamptz(3) NOT NULL,
  expires_at timestamptz(3),
  revoked_at timestamptz(3)
);
CREATE INDEX personal_tokens_user_idx ON auth.personal_tokens (user_id) WHERE revoked_at IS NULL;
CREATE INDEX personal_tokens_revoked_idx ON auth.personal_tokens (revoked_at) WHERE revoked_at IS NOT NULL;

-- Links that were mailed: each works once, for the address that it was mailed to.
CREATE TABLE auth.one_time_tokens (
  hash bytea PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users.users (id) ON DELETE CASCADE,
  purpose text NOT NULL CHECK (purpose IN ('verify_email', 'reset_password')),
  email text NOT NULL,
  expires_at timestamptz(3) NOT NULL,
  used_at timestamptz(3)
);
CREATE INDEX one_time_tokens_user_idx ON auth.one_time_tokens (user_id);

-- Published, read-only: what gateways and notifiers must refuse though its signature is good. An access token
-- lives for minutes; a day is more than any of them.
CREATE VIEW auth.revoked AS
SELECT id AS session_id, user_id, revoked_at FROM auth.sessions WHERE revoked_at > now() - interval '1 day'
UNION ALL
SELECT id, user_id, revoked_at FROM auth.personal_tokens WHERE revoked_at > now() - interval '1 day';
