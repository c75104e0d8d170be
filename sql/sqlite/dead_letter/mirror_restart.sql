-- Starts a new generation of the Redis list. A repetition has no effect.
INSERT INTO dead_letter_mirror (id, generation, version) VALUES (1, ?1, 0)
ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, version = 0;
