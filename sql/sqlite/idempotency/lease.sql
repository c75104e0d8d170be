-- Another attempt at the same command. The time of the first one stays, so that it makes the same event.
UPDATE idempotency_keys SET leased_until = ?2, token = ?3 WHERE key = ?1;
