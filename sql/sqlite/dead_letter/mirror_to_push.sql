-- Open letters that the list does not certainly show, the oldest first, because each is pushed to the front of the list.
SELECT topic, partition, "offset", reason, error, causes, event_id, event_type, key, payload, headers, attempts,
    appended_at, dead_at
FROM dead_letters INDEXED BY dead_letters_to_push
WHERE state = 'open' AND mirrored < 2
ORDER BY dead_at, partition, "offset"
LIMIT 100;
