-- Deletes old entries of the inbox within one slice of ids. A repetition has no effect.
DELETE FROM projected_events
WHERE event_id > ?1 AND event_id <= ?2 AND projected_at < ?3;
