-- The trace that an event's request belongs to (W3C Trace Context); null when the request names none.
ALTER TABLE events.log ADD COLUMN traceparent text;
