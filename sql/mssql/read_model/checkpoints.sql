-- The checkpoints of all partitions of all topics: at most a few hundred rows.
SELECT c.topic, c.partition_id, c.next_offset
FROM dbo.checkpoints AS c;
