-- The place behind the last record of a partition; 0 when it is empty.
SELECT COALESCE(MAX("offset") + 1, 0) FROM records WHERE partition = ?1;
