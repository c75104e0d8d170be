-- Closes open letters with state @P2: 'redriven' after a redrive, 'discarded' after a review. @P1 is a JSON list of positions.
-- Returns the number of letters that were open. A repetition has no effect.
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
