-- The generation of the Redis list that the column mirrored refers to. No row before the first mirroring.
SELECT generation, version FROM dead_letter_mirror WHERE id = 1;
