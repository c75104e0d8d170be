-- No letter is shown; the other half of mirror_restart.sql, in its transaction.
UPDATE dead_letters SET mirrored = 0 WHERE mirrored <> 0;
