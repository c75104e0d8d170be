-- Users between two keys, newest first: @P1 and @P2 are time and id of the older key, @P3 and @P4 of the newer one, @P5 is the
-- limit. One range of ix_users_recent by time; the ids decide between equal times only. The keys themselves are excluded.
SELECT TOP (@P5) u.user_id, u.name, u.email, u.occurred_at
FROM dbo.users AS u
WHERE u.occurred_at >= CAST(@P1 AS DATETIME2(6)) AND (u.occurred_at > CAST(@P1 AS DATETIME2(6)) OR u.user_id > @P2)
    AND u.occurred_at <= CAST(@P3 AS DATETIME2(6)) AND (u.occurred_at < CAST(@P3 AS DATETIME2(6)) OR u.user_id < @P4)
ORDER BY u.occurred_at DESC, u.user_id DESC;
