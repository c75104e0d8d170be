-- Creates the checkpoint of a partition. Changes no row if another projector has created it.
INSERT INTO checkpoints (topic, partition, next_offset) VALUES (?1, ?2, ?3)
ON CONFLICT (topic, partition) DO NOTHING;
