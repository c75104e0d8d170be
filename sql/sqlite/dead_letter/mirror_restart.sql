-- A new filling of the list begins; running it twice begins it once.
INSERT INTO dead_letter_mirror (id, generation, version) VALUES (1, ?1, 0)
ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, version = 0;
