-- The checkpoint of each partition.
SELECT partition, next_offset FROM checkpoints WHERE topic = ?1;
