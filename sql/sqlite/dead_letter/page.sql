-- Positions of matching open letters, newest first, with an offset. They are read from the index dead_letters_open. The
-- letters, which can be large, are then read one by one, up to the size of a page.
SELECT topic, partition, "offset"
FROM dead_letters
WHERE state = 'open'
    AND (?1 IS NULL OR COALESCE(event_type, '') = ?1)
    AND (?2 IS NULL OR reason = ?2)
    AND (?3 IS NULL OR event_id = ?3)
    AND dead_at >= ?4 AND dead_at < ?5
ORDER BY dead_at DESC, partition DESC, "offset" DESC
LIMIT ?6 OFFSET ?7;
