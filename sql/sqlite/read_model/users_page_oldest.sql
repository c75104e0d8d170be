-- Users between two places, oldest first: ?1, ?2 time and id of the older, ?3, ?4 of the newer, ?5 how many.
-- One range of the index users_recent; the places themselves are left out.
SELECT u.user_id, u.name, u.email, u.occurred_at
FROM users AS u
WHERE (u.occurred_at, u.user_id) > (?1, ?2) AND (u.occurred_at, u.user_id) < (?3, ?4)
ORDER BY u.occurred_at ASC, u.user_id ASC
LIMIT ?5;
