-- Lets the same command be tried again at once, unless a newer attempt is under way.
UPDATE idempotency_keys SET leased_until = 0 WHERE key = ?1 AND token = ?2;
