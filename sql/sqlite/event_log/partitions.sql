-- The number of partitions of the log. No row in a new log.
SELECT partitions FROM log;
