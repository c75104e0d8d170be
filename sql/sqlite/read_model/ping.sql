-- Checks that the tables can be read. Reads at most one row, so that frequent checks cost little.
SELECT EXISTS (SELECT 1 FROM users);
