-- Keeps the answer. All attempts since that time are the same command with the same ids, so any of their answers will do.
UPDATE idempotency_keys SET answer = ?3 WHERE key = ?1 AND started_at = ?2;
