-- Another attempt at the same command. started_at does not change, so that the attempt creates the same event.
UPDATE idempotency_keys SET leased_until = ?2, token = ?3 WHERE key = ?1;
