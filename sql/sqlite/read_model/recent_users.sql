-- The ?1 users that were created last: the first entries of the index users_recent, each with its row.
SELECT u.user_id, u.name, u.email, u.occurred_at
FROM users AS u
ORDER BY u.occurred_at DESC, u.user_id DESC
LIMIT ?1;
