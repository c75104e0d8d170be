-- One dead letter, at the place of its record: the same record cannot die twice.
INSERT INTO dead_letters (topic, partition, "offset", reason, error, causes, event_id, event_type, key, payload, headers,
    attempts, appended_at, dead_at, state)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, 'open')
ON CONFLICT (topic, partition, "offset") DO NOTHING;
