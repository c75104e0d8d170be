-- Like users_page_newest.sql, oldest first: the same range in the other direction.
SELECT TOP (@P5) u.user_id, u.name, u.email, u.occurred_at
FROM dbo.users AS u
WHERE u.occurred_at >= CAST(@P1 AS DATETIME2(6)) AND (u.occurred_at > CAST(@P1 AS DATETIME2(6)) OR u.user_id > @P2)
    AND u.occurred_at <= CAST(@P3 AS DATETIME2(6)) AND (u.occurred_at < CAST(@P3 AS DATETIME2(6)) OR u.user_id < @P4)
ORDER BY u.occurred_at ASC, u.user_id ASC;
