-- Open letters that match, newest first, from a place on. dead_letters_open holds all that is compared, in this order.
SELECT topic, partition, "offset", reason, error, causes, event_id, event_type, key, payload, headers, attempts,
    appended_at, dead_at
FROM dead_letters
WHERE state = 'open'
    AND (?1 IS NULL OR COALESCE(event_type, '') = ?1)
    AND (?2 IS NULL OR reason = ?2)
    AND (?3 IS NULL OR event_id = ?3)
    AND dead_at >= ?4 AND dead_at < ?5
ORDER BY dead_at DESC, partition DESC, "offset" DESC
LIMIT ?6 OFFSET ?7;
