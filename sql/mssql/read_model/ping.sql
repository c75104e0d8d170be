-- Can the tables be read? At most one row is touched, so that asking often costs nothing.
SELECT CASE WHEN EXISTS (SELECT 1 FROM dbo.users) THEN 1 ELSE 0 END AS found;
