-- The log of events. Written by mixins/event-log.ts inside each write's own statement, and nowhere else.
CREATE SCHEMA events;

CREATE TABLE events.streams (
  name text PRIMARY KEY,
  -- The number of the last event. Its row lock is what orders commits, and so numbers.
  head bigint NOT NULL,
  -- Moves when somebody may see more or less of the stream.
  members_version bigint NOT NULL DEFAULT 0
);
-- A busy stream rewrites its row all the time: leave room in the page, so that no index has to follow.
ALTER TABLE events.streams SET (fillfactor = 50);

CREATE TABLE events.log (
  stream text NOT NULL REFERENCES events.streams (name),
  seq bigint NOT NULL,
  id uuid NOT NULL,
  type text NOT NULL,
  time timestamptz(3) NOT NULL,
  actor_id uuid,
  request_id text,
  -- json, not jsonb: sent again exactly as it was sent first.
  data json NOT NULL,
  PRIMARY KEY (stream, seq)
);
