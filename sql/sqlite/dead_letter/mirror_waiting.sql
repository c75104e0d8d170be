-- How many letters are not shown although open, or shown although closed. The indexes are named because they are small
-- once the mirror has caught up, which the planner cannot know.
SELECT (SELECT COUNT(*) FROM dead_letters INDEXED BY dead_letters_to_push WHERE state = 'open' AND mirrored < 2)
    + (SELECT COUNT(*) FROM dead_letters INDEXED BY dead_letters_to_remove WHERE state <> 'open' AND mirrored > 0);
