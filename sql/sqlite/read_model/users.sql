-- Users by id. ?1 is a JSON array of ids, so one plan serves one user and a hundred.
-- CROSS JOIN: the ids drive, each is one search of the primary key. An unknown id gives no row.
SELECT u.user_id, u.name, u.email, u.occurred_at
FROM json_each(?1) AS k
CROSS JOIN users AS u ON u.user_id = k.value;
