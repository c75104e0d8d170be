-- Users by id, with one search of the primary key for each. @P1 is a JSON array of ids. An unknown id has no row.
SELECT u.user_id, u.name, u.email, u.occurred_at
FROM OPENJSON(@P1) WITH (id NVARCHAR(64) '$') AS k
INNER JOIN dbo.users AS u ON u.user_id = k.id COLLATE Latin1_General_100_BIN2;
