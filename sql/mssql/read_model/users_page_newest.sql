-- Users between two places, newest first: @P1, @P2 time and id of the older, @P3, @P4 of the newer, @P5 how many.
-- One range of ix_users_recent, bounded by time; the ids only tell apart what has the time of a place. The places are left out.
SELECT TOP (@P5) u.user_id, u.name, u.email, u.occurred_at
FROM dbo.users AS u
WHERE u.occurred_at >= CAST(@P1 AS DATETIME2(6)) AND (u.occurred_at > CAST(@P1 AS DATETIME2(6)) OR u.user_id > @P2)
    AND u.occurred_at <= CAST(@P3 AS DATETIME2(6)) AND (u.occurred_at < CAST(@P3 AS DATETIME2(6)) OR u.user_id < @P4)
ORDER BY u.occurred_at DESC, u.user_id DESC;
