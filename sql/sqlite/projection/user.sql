-- One user. Idempotent and independent of the order of events: a row is replaced only by a higher version.
INSERT INTO users (user_id, email, name, occurred_at, event_id) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (user_id) DO UPDATE SET
    email = excluded.email,
    name = excluded.name,
    occurred_at = excluded.occurred_at,
    event_id = excluded.event_id
WHERE (excluded.occurred_at, excluded.event_id) > (users.occurred_at, users.event_id);
