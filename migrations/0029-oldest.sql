-- From when on the retention looks at a stream: none of its events is older, but for a last one, which stays. Infinity: it has
-- no other. -infinity: nobody has looked yet, as of all streams after this migration. So the job that forgets old events, and
-- the metric of their age, find the streams that concern them without walking over all.
SET LOCAL lock_timeout = '2s';
ALTER TABLE events.streams ADD COLUMN oldest_at timestamptz(3) NOT NULL DEFAULT '-infinity';
CREATE INDEX streams_oldest_idx ON events.streams (oldest_at);
