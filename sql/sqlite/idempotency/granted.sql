-- Stores the response. All attempts with the same start time are the same command with the same ids, so the response of any
-- attempt is right.
UPDATE idempotency_keys SET answer = ?3 WHERE key = ?1 AND started_at = ?2;
