-- Discards matching open letters, the oldest first, at most @P6 of them, so that no lock is held for long. A closed letter no
-- longer matches, so a repetition continues with the next ones. The parameters are those of page.sql. Returns the count.
SET NOCOUNT, XACT_ABORT ON;
UPDATE d
SET state = 'discarded', closed_at = SYSUTCDATETIME()
FROM dbo.dead_letters AS d
INNER JOIN (
    SELECT TOP (@P6) m.topic, m.partition_id, m.record_offset
    FROM dbo.dead_letters AS m
    WHERE m.state = 'open'
        AND (@P1 IS NULL OR COALESCE(m.event_type, N'') = @P1 COLLATE Latin1_General_100_BIN2)
        AND (@P2 IS NULL OR m.reason = @P2 COLLATE Latin1_General_100_BIN2)
        AND (@P3 IS NULL OR m.event_id = @P3 COLLATE Latin1_General_100_BIN2)
        AND (@P4 IS NULL OR m.dead_at >= CAST(@P4 AS DATETIME2(6)))
        AND (@P5 IS NULL OR m.dead_at < CAST(@P5 AS DATETIME2(6)))
    ORDER BY m.dead_at, m.partition_id, m.record_offset
) AS c ON d.topic = c.topic AND d.partition_id = c.partition_id AND d.record_offset = c.record_offset
WHERE d.state = 'open'
OPTION (RECOMPILE);
SELECT @@ROWCOUNT AS discarded;
