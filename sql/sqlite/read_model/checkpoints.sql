-- The checkpoints of all partitions of all topics: at most a few hundred rows.
SELECT c.topic, c.partition, c.next_offset
FROM checkpoints AS c;
