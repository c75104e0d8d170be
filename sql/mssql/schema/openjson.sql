-- Checks that the database supports OPENJSON, which batches and lists of ids need. Returns one row, 1. Below compatibility level
-- 130 it is a syntax error.
SELECT COUNT(*) AS understood FROM OPENJSON(@P1) WITH (id INT '$') AS j;
