-- Whether this database understands OPENJSON, which all batches and lists of ids need: one row, 1. Below compatibility level 130
-- it is an error of syntax.
SELECT COUNT(*) AS understood FROM OPENJSON(@P1) WITH (id INT '$') AS j;
