-- Notes an event that carries a delta. Changes one row when the event is new, none when it was counted before.
INSERT INTO projected_events (event_id, projected_at) VALUES (?1, ?2)
ON CONFLICT (event_id) DO NOTHING;
