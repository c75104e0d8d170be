-- The number of letters that are open and not shown, or closed and shown. The statement names the indexes, because they are
-- small once the mirror has caught up, which the planner does not know.
SELECT (SELECT COUNT(*) FROM dead_letters INDEXED BY dead_letters_to_push WHERE state = 'open' AND mirrored < 2)
    + (SELECT COUNT(*) FROM dead_letters INDEXED BY dead_letters_to_remove WHERE state <> 'open' AND mirrored > 0);
