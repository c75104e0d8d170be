-- How many letters are not shown although open, or shown although closed. Both counts are read from small indexes.
SELECT (SELECT COUNT(*) FROM dead_letters WHERE state = 'open' AND mirrored < 2)
    + (SELECT COUNT(*) FROM dead_letters WHERE state <> 'open' AND mirrored > 0);
