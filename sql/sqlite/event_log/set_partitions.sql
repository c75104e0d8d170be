-- Runs once, when the log is created.
INSERT INTO log (partitions) VALUES (?1);
