-- Closes open letters as @P2: 'redriven' once they stand in the log again, 'discarded' when a person said so. @P1 is a JSON
-- list of their places. Returns how many were open, so doing it twice does nothing.
SET NOCOUNT, XACT_ABORT ON;
UPDATE d
SET state = @P2, closed_at = SYSUTCDATETIME()
FROM dbo.dead_letters AS d
INNER JOIN OPENJSON(@P1) WITH (
    topic NVARCHAR(249) 'strict $.topic',
    partition_id INT 'strict $.partition',
    record_offset BIGINT 'strict $.offset'
) AS p
    ON d.topic = p.topic COLLATE Latin1_General_100_BIN2
    AND d.partition_id = p.partition_id
    AND d.record_offset = p.record_offset
WHERE d.state = 'open';
SELECT @@ROWCOUNT AS closed;
