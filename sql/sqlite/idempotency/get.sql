-- The entry of a key that has not expired.
SELECT fingerprint, started_at, leased_until, answer FROM idempotency_keys WHERE key = ?1 AND expires_at > ?2;
