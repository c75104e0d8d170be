-- How many letters are not shown although open, or shown although closed.
SELECT COUNT_BIG(*) AS waiting
FROM dbo.dead_letters AS d
WHERE (d.state = 'open' AND d.mirrored < 2) OR (d.state IN ('redriven', 'discarded') AND d.mirrored > 0);
