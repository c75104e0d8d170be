-- Closed letters that the list may still show.
SELECT TOP (100) d.topic, d.partition_id, d.record_offset
FROM dbo.dead_letters AS d
WHERE d.state IN ('redriven', 'discarded') AND d.mirrored > 0
ORDER BY d.dead_at, d.partition_id, d.record_offset;
