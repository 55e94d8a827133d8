CREATE SCHEMA users;

CREATE TABLE users.users (
  id uuid PRIMARY KEY,
  email text NOT NULL,
  username text NOT NULL,
  first_name text,
  last_name text,
  password_hash text NOT NULL,
  role text NOT NULL DEFAULT 'user' CHECK (role IN ('user', 'manager', 'admin')),
  is_active boolean NOT NULL DEFAULT true,
  is_verified boolean NOT NULL DEFAULT false,
  created_at timestamptz(3) NOT NULL,
  updated_at timestamptz(3) NOT NULL
);
-- People don't tell Ada@example.com from ada@example.com, nor Ada from ada.
CREATE UNIQUE INDEX users_email_key ON users.users (lower(email));
CREATE UNIQUE INDEX users_username_key ON users.users (lower(username));
