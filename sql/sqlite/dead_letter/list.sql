-- Open letters, newest first, from a page on.
SELECT topic, partition, "offset", reason, error, causes, event_id, event_type, key, payload, headers, attempts,
    appended_at, dead_at
FROM dead_letters
WHERE state = 'open'
ORDER BY dead_at DESC, partition DESC, "offset" DESC
LIMIT ?1 OFFSET ?2;
