-- The @P1 users that were created last: the first entries of ix_users_recent, each with its row.
SELECT TOP (@P1) u.user_id, u.name, u.email, u.occurred_at
FROM dbo.users AS u
ORDER BY u.occurred_at DESC, u.user_id DESC;
