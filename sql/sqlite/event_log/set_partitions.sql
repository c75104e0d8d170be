-- Said once, when the log is made.
INSERT INTO log (partitions) VALUES (?1);
