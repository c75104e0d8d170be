-- Matching open letters by reason and type: the count, the times of the first and the last, and the position of the newest.
-- The parameters are those of page.sql.
SELECT g.reason, g.event_type, COUNT_BIG(*) AS letters, MIN(g.dead_at) AS oldest, MAX(g.dead_at) AS newest,
    MAX(CASE WHEN g.age = 1 THEN g.partition_id END) AS partition_id,
    MAX(CASE WHEN g.age = 1 THEN g.record_offset END) AS record_offset
FROM (
    SELECT m.reason, COALESCE(m.event_type, N'') AS event_type, m.dead_at, m.partition_id, m.record_offset,
        ROW_NUMBER() OVER (
            PARTITION BY m.reason, COALESCE(m.event_type, N'')
            ORDER BY m.dead_at DESC, m.partition_id DESC, m.record_offset DESC
        ) AS age
    FROM dbo.dead_letters AS m
    WHERE m.state = 'open'
        AND (@P1 IS NULL OR COALESCE(m.event_type, N'') = @P1 COLLATE Latin1_General_100_BIN2)
        AND (@P2 IS NULL OR m.reason = @P2 COLLATE Latin1_General_100_BIN2)
        AND (@P3 IS NULL OR m.event_id = @P3 COLLATE Latin1_General_100_BIN2)
        AND (@P4 IS NULL OR m.dead_at >= CAST(@P4 AS DATETIME2(6)))
        AND (@P5 IS NULL OR m.dead_at < CAST(@P5 AS DATETIME2(6)))
) AS g
GROUP BY g.reason, g.event_type
ORDER BY COUNT_BIG(*) DESC, g.reason, g.event_type
OPTION (RECOMPILE);
