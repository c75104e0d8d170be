-- Closed letters that the list may still show.
SELECT topic, partition, "offset"
FROM dead_letters INDEXED BY dead_letters_to_remove
WHERE state <> 'open' AND mirrored > 0
ORDER BY dead_at, partition, "offset"
LIMIT 100;
