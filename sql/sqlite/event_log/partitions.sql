-- How many partitions the log was made with; no row in a log that is new.
SELECT partitions FROM log;
