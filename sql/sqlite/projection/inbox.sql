-- Records an event with a delta. Changes one row for a new event, and none for a duplicate.
INSERT INTO projected_events (event_id, projected_at) VALUES (?1, ?2)
ON CONFLICT (event_id) DO NOTHING;
