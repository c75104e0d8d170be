-- Deletes the key of a failed attempt, unless a newer attempt is running or a response is stored.
DELETE FROM idempotency_keys WHERE key = ?1 AND token = ?2 AND answer IS NULL;
