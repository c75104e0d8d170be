-- The number of letters that are open and not shown, or closed and shown.
SELECT COUNT_BIG(*) AS waiting
FROM dbo.dead_letters AS d
WHERE (d.state = 'open' AND d.mirrored < 2) OR (d.state IN ('redriven', 'discarded') AND d.mirrored > 0);
