-- Matching open letters by reason and type: the count, the times of the first and the last, and the position of the newest.
-- All columns are in the index dead_letters_open.
WITH matching AS (
    SELECT reason, COALESCE(event_type, '') AS event_type, dead_at, partition, "offset",
        ROW_NUMBER() OVER (PARTITION BY reason, COALESCE(event_type, '') ORDER BY dead_at DESC, partition DESC, "offset" DESC) AS age
    FROM dead_letters
    WHERE state = 'open'
        AND (?1 IS NULL OR COALESCE(event_type, '') = ?1)
        AND (?2 IS NULL OR reason = ?2)
        AND (?3 IS NULL OR event_id = ?3)
        AND dead_at >= ?4 AND dead_at < ?5
)
SELECT reason, event_type, COUNT(*), MIN(dead_at), MAX(dead_at),
    MAX(CASE WHEN age = 1 THEN partition END), MAX(CASE WHEN age = 1 THEN "offset" END)
FROM matching
GROUP BY reason, event_type
ORDER BY 3 DESC, 1, 2;
