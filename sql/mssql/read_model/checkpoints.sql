-- How far each partition is projected, of every topic: a handful of rows, a few hundred at most.
SELECT c.topic, c.partition_id, c.next_offset
FROM dbo.checkpoints AS c;
