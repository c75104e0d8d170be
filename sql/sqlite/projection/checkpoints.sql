-- How far each partition is projected.
SELECT partition, next_offset FROM checkpoints WHERE topic = ?1;
