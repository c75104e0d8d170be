-- What is known of a key whose time is not over.
SELECT fingerprint, started_at, leased_until, answer FROM idempotency_keys WHERE key = ?1 AND expires_at > ?2;
