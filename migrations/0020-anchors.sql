-- The id of a stream's last event, and of the one before it. A number alone does not say which history it counts: after a
-- restore, or a failover that lost its end, numbers are given a second time. A reader compares ids before it reads on.
ALTER TABLE events.streams ADD COLUMN last_id uuid, ADD COLUMN previous_id uuid;

UPDATE events.streams s SET last_id = l.id FROM events.log l WHERE l.stream = s.name AND l.seq = s.head;
