-- Marks all letters as not shown. Runs in the transaction of mirror_restart.sql.
UPDATE dead_letters SET mirrored = 0 WHERE mirrored <> 0;
