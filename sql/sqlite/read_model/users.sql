-- Users by id. ?1 is a JSON array of ids, so that one plan serves any number of users.
-- CROSS JOIN makes the ids the outer loop, with one search of the primary key for each. An unknown id has no row.
SELECT u.user_id, u.name, u.email, u.occurred_at
FROM json_each(?1) AS k
CROSS JOIN users AS u ON u.user_id = k.value;
