-- Matching open letters, newest first: @P6 letters after the first @P7. The page ends with the letter that reaches a total of
-- @P8 bytes. The filter is @P1 type, @P2 reason, @P3 event id, @P4 from and @P5 to (times in Z); NULL matches all.
SELECT d.topic, d.partition_id, d.record_offset, d.reason, d.error, d.causes, d.event_id, d.event_type, d.record_key, d.payload,
    d.headers, d.attempts, d.appended_at, d.dead_at
FROM (
    SELECT p.topic, p.partition_id, p.record_offset, p.bytes,
        SUM(p.bytes) OVER (
            ORDER BY p.dead_at DESC, p.partition_id DESC, p.record_offset DESC ROWS UNBOUNDED PRECEDING
        ) AS bytes_so_far
    FROM (
        SELECT m.topic, m.partition_id, m.record_offset, m.dead_at,
            CAST(COALESCE(DATALENGTH(m.payload), 0) + COALESCE(DATALENGTH(m.record_key), 0) + DATALENGTH(m.headers) AS BIGINT) AS bytes
        FROM dbo.dead_letters AS m
        WHERE m.state = 'open'
        AND (@P1 IS NULL OR COALESCE(m.event_type, N'') = @P1 COLLATE Latin1_General_100_BIN2)
        AND (@P2 IS NULL OR m.reason = @P2 COLLATE Latin1_General_100_BIN2)
        AND (@P3 IS NULL OR m.event_id = @P3 COLLATE Latin1_General_100_BIN2)
        AND (@P4 IS NULL OR m.dead_at >= CAST(@P4 AS DATETIME2(6)))
        AND (@P5 IS NULL OR m.dead_at < CAST(@P5 AS DATETIME2(6)))
        ORDER BY m.dead_at DESC, m.partition_id DESC, m.record_offset DESC
        OFFSET @P7 ROWS FETCH NEXT @P6 ROWS ONLY
    ) AS p
) AS c
INNER JOIN dbo.dead_letters AS d
    ON d.topic = c.topic AND d.partition_id = c.partition_id AND d.record_offset = c.record_offset
WHERE c.bytes_so_far - c.bytes < @P8
ORDER BY d.dead_at DESC, d.partition_id DESC, d.record_offset DESC
OPTION (RECOMPILE);
