-- The generation of the Redis list that the column mirrored refers to. No row before the first mirroring.
SELECT m.generation, m.version FROM dbo.dead_letter_mirror AS m WHERE m.id = 1;
