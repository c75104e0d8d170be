-- Moves the fence of a partition that has none yet. Changes no row when another projector was here.
INSERT INTO checkpoints (topic, partition, next_offset) VALUES (?1, ?2, ?3)
ON CONFLICT (topic, partition) DO NOTHING;
