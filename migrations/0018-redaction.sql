-- What the log holds of one task or one comment, so that a secret in it can be taken out (mixins/event-log.ts).
CREATE INDEX log_thing_idx ON events.log ((coalesce(data -> 'task' ->> 'id', data -> 'comment' ->> 'id')));
