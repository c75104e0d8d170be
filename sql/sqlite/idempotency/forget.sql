-- Frees the key, because nothing came of the attempt; unless a newer one is under way or was granted.
DELETE FROM idempotency_keys WHERE key = ?1 AND token = ?2 AND answer IS NULL;
