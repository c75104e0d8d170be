-- One dead letter. The position of the record is the key, so a repetition has no effect.
INSERT INTO dead_letters (topic, partition, "offset", reason, error, causes, event_id, event_type, key, payload, headers,
    attempts, appended_at, dead_at, state)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'open')
ON CONFLICT (topic, partition, "offset") DO NOTHING;
