-- Checks that the tables can be read. Reads at most one row, so that frequent checks cost little.
SELECT CASE WHEN EXISTS (SELECT 1 FROM dbo.users) THEN 1 ELSE 0 END AS found;
