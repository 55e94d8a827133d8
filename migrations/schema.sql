-- Made by `npm run schema` from the migrations; do not edit.

CREATE SCHEMA auth;

CREATE SCHEMA events;

CREATE SCHEMA idempotency;

CREATE SCHEMA projects;

CREATE SCHEMA tasks;

CREATE SCHEMA users;

CREATE OR REPLACE FUNCTION tasks.plain_words(content text)
 RETURNS text
 LANGUAGE sql
 IMMUTABLE PARALLEL SAFE STRICT
RETURN CASE WHEN (octet_length(content) = char_length(content)) THEN translate(content, './:<&+-~'::text, '        '::text) ELSE regexp_replace(translate(content, './:<&+-~«»‐‑‒–—‘’‚“”„…‹›、。〈〉《》「」『』【】・！（），．：；？～'::text, repeat(' '::text, 46)), '([\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f])'::text, ' \1 '::text, 'g'::text) END
;

CREATE OR REPLACE FUNCTION tasks.search_query(request text)
 RETURNS tsquery
 LANGUAGE plpgsql
 IMMUTABLE PARALLEL SAFE STRICT
AS $function$
DECLARE
  part text[];
  words text[];
  term tsquery;
  stem tsquery;
  mark text;
  -- What is asked for together, and what of it is in every text.
  together tsquery;
  common tsquery;
  found tsquery;
BEGIN
  FOR part IN SELECT regexp_matches(request, '(-?)(?:"([^"]*)"?|([^\s"]+))', 'g') LOOP
    IF lower(part[3]) = 'or' AND part[1] = '' THEN
      together := coalesce(together, common);
      found := coalesce(found || together, found, together);
      together := NULL;
      common := NULL;
      CONTINUE;
    END IF;
    words := regexp_split_to_array(btrim(tasks.plain_words(
      translate(coalesce(part[2], part[3]), '!"#$%''()*,;=>?@[\]^_`{|}', repeat(' ', 24)))), '\s+');
    CONTINUE WHEN words = '{""}';
    -- Weights tell the words as they are from stems: "pass" is not passing.
    mark := CASE WHEN part[3] IS NULL OR cardinality(words) > 1 THEN 'AB' ELSE '' END;
    term := to_tsquery('simple', '''' || array_to_string(words, ''':' || mark || ' <-> ''') || ''':' || mark
      || CASE WHEN part[3] IS NULL OR part[1] = '-' OR char_length(words[cardinality(words)]) = 1 THEN '' ELSE '*' END);
    CONTINUE WHEN numnode(term) = 0;
    IF part[3] IS NOT NULL AND cardinality(words) = 1 THEN
      IF ts_lexize('english_stem', lower(words[1])) = '{}' THEN
        IF part[1] = '' THEN common := coalesce(common && term, term); END IF;
        CONTINUE;
      END IF;
      stem := plainto_tsquery('english', words[1]);
      -- Where the word is its own stem one of the two is enough: ts_rank takes the second for the first.
      IF stem <> phraseto_tsquery('simple', words[1]) THEN term := term || stem; END IF;
    END IF;
    IF part[1] = '-' THEN term := !!term; END IF;
    together := coalesce(together && term, term);
  END LOOP;
  together := coalesce(together, common);
  RETURN coalesce(found || together, found, together);
END $function$
;

CREATE TABLE auth.mail_budgets (
  user_id uuid NOT NULL,
  purpose text NOT NULL,
  day_began timestamp(3) with time zone NOT NULL,
  mails integer NOT NULL,
  mailed_at timestamp(3) with time zone NOT NULL,
  link integer NOT NULL
);

CREATE TABLE auth.one_time_tokens (
  hash bytea NOT NULL,
  user_id uuid NOT NULL,
  purpose text NOT NULL,
  email text NOT NULL,
  expires_at timestamp(3) with time zone NOT NULL,
  used_at timestamp(3) with time zone,
  generation integer NOT NULL DEFAULT 1
);

CREATE TABLE auth.personal_tokens (
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  name text NOT NULL,
  scope text NOT NULL,
  hash bytea NOT NULL,
  created_at timestamp(3) with time zone NOT NULL,
  expires_at timestamp(3) with time zone,
  revoked_at timestamp(3) with time zone,
  generation integer NOT NULL DEFAULT 1,
  project_ids uuid[]
);

CREATE TABLE auth.refresh_tokens (
  hash bytea NOT NULL,
  session_id uuid NOT NULL,
  expires_at timestamp(3) with time zone NOT NULL,
  spent_at timestamp(3) with time zone,
  successor_salt bytea
);

CREATE TABLE auth.sessions (
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  created_at timestamp(3) with time zone NOT NULL,
  revoked_at timestamp(3) with time zone,
  last_used_at timestamp(3) with time zone NOT NULL DEFAULT now(),
  user_agent text,
  address text,
  generation integer NOT NULL DEFAULT 1
);

CREATE TABLE events.cache (
  one boolean NOT NULL DEFAULT true,
  store text NOT NULL,
  epoch uuid NOT NULL DEFAULT gen_random_uuid(),
  suspended_until timestamp with time zone NOT NULL DEFAULT '1970-01-01 00:00:00+00'::timestamp with time zone
);

CREATE TABLE events.log (
  stream text NOT NULL,
  seq bigint NOT NULL,
  id uuid NOT NULL,
  type text NOT NULL,
  "time" timestamp(3) with time zone NOT NULL,
  actor_id uuid,
  request_id text,
  data json NOT NULL,
  traceparent text
);

CREATE TABLE events.streams (
  name text NOT NULL,
  head bigint NOT NULL,
  members_version bigint NOT NULL DEFAULT 0,
  last_id uuid,
  previous_id uuid,
  oldest_at timestamp(3) with time zone NOT NULL DEFAULT '-infinity'::timestamp with time zone
) WITH (fillfactor=50);

CREATE TABLE idempotency.keys (
  user_id uuid NOT NULL,
  key text NOT NULL,
  fingerprint text NOT NULL,
  response json NOT NULL,
  kept_until timestamp(3) with time zone NOT NULL
);

CREATE TABLE projects.members (
  project_id uuid NOT NULL,
  user_id uuid NOT NULL,
  role text NOT NULL,
  created_at timestamp(3) with time zone NOT NULL
);

CREATE TABLE projects.projects (
  id uuid NOT NULL,
  slug text NOT NULL,
  name text NOT NULL,
  description text,
  status text NOT NULL DEFAULT 'active'::text,
  owner_id uuid NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_at timestamp(3) with time zone NOT NULL,
  updated_at timestamp(3) with time zone NOT NULL,
  deleted_at timestamp(3) with time zone
);

CREATE TABLE tasks.categories (
  id uuid NOT NULL,
  user_id uuid NOT NULL,
  name text NOT NULL,
  color text NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_at timestamp(3) with time zone NOT NULL,
  updated_at timestamp(3) with time zone NOT NULL,
  deleted_at timestamp(3) with time zone,
  name_key text COLLATE "C" NOT NULL
);

CREATE TABLE tasks.comments (
  id uuid NOT NULL,
  task_id uuid NOT NULL,
  author_id uuid NOT NULL,
  body text NOT NULL,
  version integer NOT NULL DEFAULT 1,
  created_at timestamp(3) with time zone NOT NULL,
  updated_at timestamp(3) with time zone NOT NULL
);

CREATE TABLE tasks.tasks (
  id uuid NOT NULL,
  title text NOT NULL,
  description text,
  status text NOT NULL,
  priority text NOT NULL,
  project_id uuid,
  category_id uuid,
  created_by uuid NOT NULL,
  assigned_to uuid,
  due_date timestamp(3) with time zone,
  completed_at timestamp(3) with time zone,
  version integer NOT NULL DEFAULT 1,
  created_at timestamp(3) with time zone NOT NULL,
  updated_at timestamp(3) with time zone NOT NULL,
  deleted_at timestamp(3) with time zone,
  announced_due_date timestamp(3) with time zone,
  words tsvector GENERATED ALWAYS AS (((((setweight(to_tsvector('simple'::regconfig, tasks.plain_words(title)), 'A'::"char") || '''|'':2'::tsvector) || setweight(to_tsvector('simple'::regconfig, COALESCE(tasks.plain_words(description), ''::text)), 'B'::"char")) || setweight(to_tsvector('english'::regconfig, title), 'C'::"char")) || setweight(to_tsvector('english'::regconfig, COALESCE(description, ''::text)), 'D'::"char"))) STORED,
  "position" text COLLATE "C" NOT NULL DEFAULT (lpad(to_hex(((EXTRACT(epoch FROM clock_timestamp()) * (1000)::numeric))::bigint), 12, '0'::text) || "left"(replace((gen_random_uuid())::text, '-'::text, ''::text), 20))
);

CREATE TABLE users.endings (
  user_id uuid NOT NULL,
  generation integer NOT NULL,
  erased_by uuid,
  due_at timestamp(3) with time zone NOT NULL,
  settles_at timestamp(3) with time zone NOT NULL
);

CREATE TABLE users.users (
  id uuid NOT NULL,
  email text NOT NULL,
  username text NOT NULL,
  first_name text,
  last_name text,
  password_hash text NOT NULL,
  role text NOT NULL DEFAULT 'user'::text,
  is_active boolean NOT NULL DEFAULT true,
  is_verified boolean NOT NULL DEFAULT false,
  created_at timestamp(3) with time zone NOT NULL,
  updated_at timestamp(3) with time zone NOT NULL,
  erased_at timestamp(3) with time zone,
  sessions_generation integer NOT NULL DEFAULT 1,
  sessions_ended_at timestamp(3) with time zone,
  kept_session uuid,
  email_key text COLLATE "C" NOT NULL,
  username_key text COLLATE "C" NOT NULL
);

ALTER TABLE auth.mail_budgets ADD CONSTRAINT mail_budgets_pkey PRIMARY KEY (user_id, purpose);

ALTER TABLE auth.mail_budgets ADD CONSTRAINT mail_budgets_purpose_check CHECK ((purpose = ANY (ARRAY['verify_email'::text, 'reset_password'::text])));

ALTER TABLE auth.one_time_tokens ADD CONSTRAINT one_time_tokens_pkey PRIMARY KEY (hash);

ALTER TABLE auth.one_time_tokens ADD CONSTRAINT one_time_tokens_purpose_check CHECK ((purpose = ANY (ARRAY['verify_email'::text, 'reset_password'::text])));

ALTER TABLE auth.personal_tokens ADD CONSTRAINT personal_tokens_hash_key UNIQUE (hash);

ALTER TABLE auth.personal_tokens ADD CONSTRAINT personal_tokens_pkey PRIMARY KEY (id);

ALTER TABLE auth.personal_tokens ADD CONSTRAINT personal_tokens_scope_check CHECK ((scope = ANY (ARRAY['read'::text, 'write'::text])));

ALTER TABLE auth.refresh_tokens ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (hash);

ALTER TABLE auth.sessions ADD CONSTRAINT sessions_pkey PRIMARY KEY (id);

ALTER TABLE events.cache ADD CONSTRAINT cache_one_check CHECK (one);

ALTER TABLE events.cache ADD CONSTRAINT cache_pkey PRIMARY KEY (one);

ALTER TABLE events.log ADD CONSTRAINT log_pkey PRIMARY KEY (stream, seq);

ALTER TABLE events.streams ADD CONSTRAINT streams_pkey PRIMARY KEY (name);

ALTER TABLE idempotency.keys ADD CONSTRAINT keys_pkey PRIMARY KEY (user_id, key);

ALTER TABLE projects.members ADD CONSTRAINT members_pkey PRIMARY KEY (project_id, user_id);

ALTER TABLE projects.members ADD CONSTRAINT members_role_check CHECK ((role = ANY (ARRAY['viewer'::text, 'member'::text, 'manager'::text, 'owner'::text])));

ALTER TABLE projects.projects ADD CONSTRAINT projects_pkey PRIMARY KEY (id);

ALTER TABLE projects.projects ADD CONSTRAINT projects_status_check CHECK ((status = ANY (ARRAY['active'::text, 'archived'::text])));

ALTER TABLE tasks.categories ADD CONSTRAINT categories_color_check CHECK ((color ~ '^#[0-9A-F]{6}$'::text));

ALTER TABLE tasks.categories ADD CONSTRAINT categories_pkey PRIMARY KEY (id);

ALTER TABLE tasks.comments ADD CONSTRAINT comments_pkey PRIMARY KEY (id);

ALTER TABLE tasks.tasks ADD CONSTRAINT tasks_pkey PRIMARY KEY (id);

ALTER TABLE tasks.tasks ADD CONSTRAINT tasks_priority_check CHECK ((priority = ANY (ARRAY['low'::text, 'medium'::text, 'high'::text, 'urgent'::text])));

ALTER TABLE tasks.tasks ADD CONSTRAINT tasks_status_check CHECK ((status = ANY (ARRAY['pending'::text, 'in_progress'::text, 'completed'::text, 'cancelled'::text, 'archived'::text])));

ALTER TABLE users.endings ADD CONSTRAINT endings_pkey PRIMARY KEY (user_id);

ALTER TABLE users.users ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE users.users ADD CONSTRAINT users_role_check CHECK ((role = ANY (ARRAY['user'::text, 'manager'::text, 'admin'::text])));

ALTER TABLE auth.mail_budgets ADD CONSTRAINT mail_budgets_user_id_fkey FOREIGN KEY (user_id) REFERENCES users.users(id) ON DELETE CASCADE;

ALTER TABLE auth.one_time_tokens ADD CONSTRAINT one_time_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users.users(id) ON DELETE CASCADE;

ALTER TABLE auth.personal_tokens ADD CONSTRAINT personal_tokens_user_id_fkey FOREIGN KEY (user_id) REFERENCES users.users(id) ON DELETE CASCADE;

ALTER TABLE auth.refresh_tokens ADD CONSTRAINT refresh_tokens_session_id_fkey FOREIGN KEY (session_id) REFERENCES auth.sessions(id) ON DELETE CASCADE;

ALTER TABLE auth.sessions ADD CONSTRAINT sessions_user_id_fkey FOREIGN KEY (user_id) REFERENCES users.users(id) ON DELETE CASCADE;

ALTER TABLE events.log ADD CONSTRAINT log_stream_fkey FOREIGN KEY (stream) REFERENCES events.streams(name);

ALTER TABLE idempotency.keys ADD CONSTRAINT keys_user_id_fkey FOREIGN KEY (user_id) REFERENCES users.users(id) ON DELETE CASCADE;

ALTER TABLE projects.members ADD CONSTRAINT members_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects.projects(id) ON DELETE CASCADE;

ALTER TABLE projects.members ADD CONSTRAINT members_user_id_fkey FOREIGN KEY (user_id) REFERENCES users.users(id);

ALTER TABLE projects.projects ADD CONSTRAINT projects_owner_id_fkey FOREIGN KEY (owner_id) REFERENCES users.users(id);

ALTER TABLE tasks.categories ADD CONSTRAINT categories_user_id_fkey FOREIGN KEY (user_id) REFERENCES users.users(id) ON DELETE CASCADE;

ALTER TABLE tasks.comments ADD CONSTRAINT comments_author_id_fkey FOREIGN KEY (author_id) REFERENCES users.users(id);

ALTER TABLE tasks.comments ADD CONSTRAINT comments_task_id_fkey FOREIGN KEY (task_id) REFERENCES tasks.tasks(id) ON DELETE CASCADE;

ALTER TABLE tasks.tasks ADD CONSTRAINT tasks_assigned_to_fkey FOREIGN KEY (assigned_to) REFERENCES users.users(id);

ALTER TABLE tasks.tasks ADD CONSTRAINT tasks_category_id_fkey FOREIGN KEY (category_id) REFERENCES tasks.categories(id);

ALTER TABLE tasks.tasks ADD CONSTRAINT tasks_created_by_fkey FOREIGN KEY (created_by) REFERENCES users.users(id);

ALTER TABLE tasks.tasks ADD CONSTRAINT tasks_project_id_fkey FOREIGN KEY (project_id) REFERENCES projects.projects(id);

ALTER TABLE users.endings ADD CONSTRAINT endings_user_id_fkey FOREIGN KEY (user_id) REFERENCES users.users(id) ON DELETE CASCADE;

CREATE INDEX one_time_tokens_user_idx ON auth.one_time_tokens USING btree (user_id);

CREATE INDEX personal_tokens_revoked_idx ON auth.personal_tokens USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);

CREATE INDEX personal_tokens_user_idx ON auth.personal_tokens USING btree (user_id) WHERE (revoked_at IS NULL);

CREATE INDEX refresh_tokens_session_idx ON auth.refresh_tokens USING btree (session_id);

CREATE INDEX sessions_revoked_idx ON auth.sessions USING btree (revoked_at) WHERE (revoked_at IS NOT NULL);

CREATE INDEX sessions_user_idx ON auth.sessions USING btree (user_id) WHERE (revoked_at IS NULL);

CREATE INDEX log_thing_idx ON events.log USING btree (COALESCE(((data -> 'task'::text) ->> 'id'::text), ((data -> 'comment'::text) ->> 'id'::text)));

CREATE INDEX streams_oldest_idx ON events.streams USING btree (oldest_at);

CREATE INDEX keys_kept_until_idx ON idempotency.keys USING btree (kept_until);

CREATE INDEX members_joined_idx ON projects.members USING btree (project_id, created_at, user_id);

CREATE INDEX members_user_idx ON projects.members USING btree (user_id, project_id);

CREATE INDEX projects_created_idx ON projects.projects USING btree (created_at, id) WHERE (created_at > '-infinity'::timestamp with time zone);

CREATE INDEX projects_deleted_idx ON projects.projects USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX projects_deleted_slug_idx ON projects.projects USING btree (slug) WHERE (deleted_at IS NOT NULL);

CREATE UNIQUE INDEX projects_slug_key ON projects.projects USING btree (slug) WHERE (deleted_at IS NULL);

CREATE INDEX categories_deleted_idx ON tasks.categories USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE UNIQUE INDEX categories_name_key ON tasks.categories USING btree (user_id, name_key) WHERE (deleted_at IS NULL);

CREATE INDEX comments_task_idx ON tasks.comments USING btree (task_id, created_at, id);

CREATE INDEX tasks_assigned_idx ON tasks.tasks USING btree (assigned_to, created_at, id) WHERE (assigned_to IS NOT NULL);

CREATE INDEX tasks_category_idx ON tasks.tasks USING btree (category_id) WHERE (category_id IS NOT NULL);

CREATE INDEX tasks_column_idx ON tasks.tasks USING btree (project_id, status, "position", id) WHERE ((project_id IS NOT NULL) AND (deleted_at IS NULL));

CREATE INDEX tasks_created_idx ON tasks.tasks USING btree (created_at, id) WHERE (created_at > '-infinity'::timestamp with time zone);

CREATE INDEX tasks_creator_idx ON tasks.tasks USING btree (created_by, created_at, id) WHERE (project_id IS NOT NULL);

CREATE INDEX tasks_deleted_idx ON tasks.tasks USING btree (deleted_at) WHERE (deleted_at IS NOT NULL);

CREATE INDEX tasks_due_soon_idx ON tasks.tasks USING btree (due_date) WHERE ((deleted_at IS NULL) AND (status = ANY (ARRAY['pending'::text, 'in_progress'::text])) AND (announced_due_date IS DISTINCT FROM due_date));

CREATE INDEX tasks_long_position_idx ON tasks.tasks USING btree (id) WHERE (octet_length("position") > 64);

CREATE INDEX tasks_open_due_idx ON tasks.tasks USING btree (project_id, due_date) WHERE ((deleted_at IS NULL) AND (status = ANY (ARRAY['pending'::text, 'in_progress'::text])) AND (due_date IS NOT NULL));

CREATE INDEX tasks_personal_assigned_idx ON tasks.tasks USING btree (assigned_to, created_at, id) WHERE ((project_id IS NULL) AND (assigned_to IS NOT NULL));

CREATE INDEX tasks_personal_idx ON tasks.tasks USING btree (created_by, created_at, id) WHERE (project_id IS NULL);

CREATE INDEX tasks_personal_position_idx ON tasks.tasks USING btree (created_by, "position", id) WHERE (project_id IS NULL);

CREATE INDEX tasks_position_idx ON tasks.tasks USING btree (project_id, "position", id) WHERE (project_id IS NOT NULL);

CREATE INDEX tasks_project_created_idx ON tasks.tasks USING btree (project_id, created_at, id) INCLUDE (deleted_at);

CREATE INDEX tasks_project_due_idx ON tasks.tasks USING btree (project_id, COALESCE(due_date, 'infinity'::timestamp with time zone), id);

CREATE INDEX tasks_project_priority_idx ON tasks.tasks USING btree (project_id, array_position('{low,medium,high,urgent}'::text[], priority), id);

CREATE INDEX tasks_project_updated_idx ON tasks.tasks USING btree (project_id, updated_at, id);

CREATE INDEX tasks_words_idx ON tasks.tasks USING gin (words);

CREATE INDEX endings_due_idx ON users.endings USING btree (due_at);

CREATE UNIQUE INDEX users_email_key ON users.users USING btree (email_key);

CREATE INDEX users_names_idx ON users.users USING gin (username public.gin_trgm_ops, (((COALESCE(first_name, ''::text) || ' '::text) || COALESCE(last_name, ''::text))) public.gin_trgm_ops, email public.gin_trgm_ops);

CREATE INDEX users_sessions_ended_idx ON users.users USING btree (sessions_ended_at) WHERE (sessions_ended_at IS NOT NULL);

CREATE UNIQUE INDEX users_username_key ON users.users USING btree (username_key);

CREATE VIEW auth.issued AS
 SELECT sessions.id
   FROM auth.sessions
UNION ALL
 SELECT personal_tokens.id
   FROM auth.personal_tokens;

CREATE VIEW auth.revoked AS
 SELECT sessions.id AS session_id,
    sessions.user_id,
    sessions.revoked_at
   FROM auth.sessions
  WHERE sessions.revoked_at > (now() - '1 day'::interval)
UNION ALL
 SELECT personal_tokens.id AS session_id,
    personal_tokens.user_id,
    personal_tokens.revoked_at
   FROM auth.personal_tokens
  WHERE personal_tokens.revoked_at > (now() - '1 day'::interval)
UNION ALL
 SELECT s.id AS session_id,
    s.user_id,
    a.ended_at AS revoked_at
   FROM users.standings a
     JOIN auth.sessions s ON s.user_id = a.id
  WHERE a.ended_at > (now() - '1 day'::interval) AND s.revoked_at IS NULL AND s.generation <> a.generation AND s.id IS DISTINCT FROM a.kept_session
UNION ALL
 SELECT t.id AS session_id,
    t.user_id,
    a.ended_at AS revoked_at
   FROM users.standings a
     JOIN auth.personal_tokens t ON t.user_id = a.id
  WHERE a.ended_at > (now() - '1 day'::interval) AND t.revoked_at IS NULL AND t.generation <> a.generation;

CREATE VIEW projects.memberships AS
 SELECT m.project_id,
    m.user_id,
    m.role,
    m.created_at AS since,
    m.role = 'owner'::text AND m.created_at = p.created_at AS founded
   FROM projects.members m
     JOIN projects.projects p ON p.id = m.project_id
  WHERE p.deleted_at IS NULL;

CREATE VIEW projects.summaries AS
 SELECT id,
    slug,
    name,
    status
   FROM projects.projects
  WHERE deleted_at IS NULL;

CREATE VIEW users.accounts AS
 SELECT id,
    email,
    username,
    first_name,
    last_name,
    role,
    is_active,
    is_verified,
    created_at,
    updated_at
   FROM users.users;

CREATE VIEW users.people AS
 SELECT id,
    username,
    first_name,
    last_name
   FROM users.users;

CREATE VIEW users.standings AS
 SELECT id,
    role,
    is_active,
    sessions_generation AS generation,
    sessions_ended_at AS ended_at,
    kept_session
   FROM users.users;
