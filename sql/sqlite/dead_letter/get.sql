-- One open letter by the position of its record.
SELECT topic, partition, "offset", reason, error, causes, event_id, event_type, key, payload, headers, attempts,
    appended_at, dead_at
FROM dead_letters
WHERE partition = ?1 AND "offset" = ?2 AND topic = ?3 AND state = 'open';
