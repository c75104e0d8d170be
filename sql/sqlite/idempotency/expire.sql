-- Forgets keys whose time is over, a slice at each new command, so that no command waits for many.
DELETE FROM idempotency_keys
WHERE key IN (SELECT key FROM idempotency_keys WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 100);
