-- The next slice of the inbox in the order of ids: the number of entries, and the last id.
SELECT COUNT(*), MAX(event_id)
FROM (SELECT event_id FROM projected_events WHERE event_id > ?1 ORDER BY event_id LIMIT ?2);
