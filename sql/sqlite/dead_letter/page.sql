-- Places of open letters that match, newest first, from a place on. All of it is read from the index dead_letters_open;
-- the letters themselves, which may be large, are looked up one by one, up to the size of a page.
SELECT topic, partition, "offset"
FROM dead_letters
WHERE state = 'open'
    AND (?1 IS NULL OR COALESCE(event_type, '') = ?1)
    AND (?2 IS NULL OR reason = ?2)
    AND (?3 IS NULL OR event_id = ?3)
    AND dead_at >= ?4 AND dead_at < ?5
ORDER BY dead_at DESC, partition DESC, "offset" DESC
LIMIT ?6 OFFSET ?7;
