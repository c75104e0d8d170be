-- One record at its place. A place that is taken is an error: offsets are handed out by the one writer.
INSERT INTO records (partition, "offset", appended_at, key, payload, headers) VALUES (?1, ?2, ?3, ?4, ?5, ?6);
