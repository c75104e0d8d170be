-- Forgets what was noted long ago, within one slice of ids. Run again, it finds nothing more.
DELETE FROM projected_events
WHERE event_id > ?1 AND event_id <= ?2 AND projected_at < ?3;
