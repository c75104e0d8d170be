-- Allows an immediate retry of the command, unless a newer attempt is running.
UPDATE idempotency_keys SET leased_until = 0 WHERE key = ?1 AND token = ?2;
