-- Open letters that the list does not certainly show, the oldest first, because each is pushed to the front of the list. The
-- result ends with the letter that reaches a total of @P1 bytes.
SELECT d.topic, d.partition_id, d.record_offset, d.reason, d.error, d.causes, d.event_id, d.event_type, d.record_key, d.payload,
    d.headers, d.attempts, d.appended_at, d.dead_at
FROM (
    SELECT p.topic, p.partition_id, p.record_offset, p.bytes,
        SUM(p.bytes) OVER (ORDER BY p.dead_at, p.partition_id, p.record_offset ROWS UNBOUNDED PRECEDING) AS bytes_so_far
    FROM (
        SELECT TOP (100) m.topic, m.partition_id, m.record_offset, m.dead_at,
            CAST(COALESCE(DATALENGTH(m.payload), 0) + COALESCE(DATALENGTH(m.record_key), 0) + DATALENGTH(m.headers) AS BIGINT) AS bytes
        FROM dbo.dead_letters AS m
        WHERE m.state = 'open' AND m.mirrored < 2
        ORDER BY m.dead_at, m.partition_id, m.record_offset
    ) AS p
) AS c
INNER JOIN dbo.dead_letters AS d
    ON d.topic = c.topic AND d.partition_id = c.partition_id AND d.record_offset = c.record_offset
WHERE c.bytes_so_far - c.bytes < @P1
ORDER BY d.dead_at, d.partition_id, d.record_offset;
