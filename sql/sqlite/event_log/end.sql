-- The offset after the last record of a partition; 0 if the partition is empty.
SELECT COALESCE(MAX("offset") + 1, 0) FROM records WHERE partition = ?1;
