-- Deletes expired keys, at most 100 with each new command, so that no command waits for long. A repetition has no effect.
DELETE FROM idempotency_keys
WHERE key IN (SELECT key FROM idempotency_keys WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 100);
