-- The first attempt with a key. An existing entry has expired, or get.sql would have returned it, so it is replaced.
INSERT INTO idempotency_keys (key, fingerprint, started_at, leased_until, token, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, started_at = excluded.started_at,
    leased_until = excluded.leased_until, token = excluded.token, answer = NULL, expires_at = excluded.expires_at;
