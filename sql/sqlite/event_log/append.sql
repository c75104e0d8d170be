-- One record at its position. A taken position is an error: only the single writer assigns offsets.
INSERT INTO records (partition, "offset", appended_at, key, payload, headers) VALUES (?1, ?2, ?3, ?4, ?5, ?6);
