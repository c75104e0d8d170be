-- Users between two keys, oldest first: ?1 and ?2 are time and id of the older key, ?3 and ?4 of the newer one, ?5 is the
-- limit. One range of the index users_recent, without the keys themselves.
SELECT u.user_id, u.name, u.email, u.occurred_at
FROM users AS u
WHERE (u.occurred_at, u.user_id) > (?1, ?2) AND (u.occurred_at, u.user_id) < (?3, ?4)
ORDER BY u.occurred_at ASC, u.user_id ASC
LIMIT ?5;
