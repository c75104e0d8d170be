-- Discards matching open letters, the oldest first, at most ?6 of them, so that no lock is held for long.
-- A closed letter no longer matches, so a repetition continues with the next ones.
UPDATE dead_letters SET state = 'discarded', closed_at = ?7
WHERE (topic, partition, "offset") IN (
    SELECT topic, partition, "offset"
    FROM dead_letters
    WHERE state = 'open'
        AND (?1 IS NULL OR COALESCE(event_type, '') = ?1)
        AND (?2 IS NULL OR reason = ?2)
        AND (?3 IS NULL OR event_id = ?3)
        AND dead_at >= ?4 AND dead_at < ?5
    ORDER BY dead_at, partition, "offset"
    LIMIT ?6
);
