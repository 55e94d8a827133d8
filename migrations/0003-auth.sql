CREATE SCHEMA auth;

CREATE TABLE auth.sessions (
  id uuid PRIMARY KEY,
  user_id uuid NOT NULL REFERENCES users.users (id) ON DELETE CASCADE,
  created_at timestamptz(3) NOT NULL,
  revoked_at timestamptz(3)
);
CREATE INDEX sessions_user_idx ON auth.sessions (user_id) WHERE revoked_at IS NULL;

-- A session's refresh tokens: one is live, the ones before it are spent. Tokens are stored as SHA-256 alone.
CREATE TABLE auth.refresh_tokens (
  hash bytea PRIMARY KEY,
  session_id uuid NOT NULL REFERENCES auth.sessions (id) ON DELETE CASCADE,
  expires_at timestamptz(3) NOT NULL,
  spent_at timestamptz(3),
  -- With the spent token itself, which only its holder knows, it yields the successor again.
  successor_salt bytea
);
CREATE INDEX refresh_tokens_session_idx ON auth.refresh_tokens (session_id);
