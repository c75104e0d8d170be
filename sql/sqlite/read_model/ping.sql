-- Can the tables be read? At most one row is touched, so that asking often costs nothing.
SELECT EXISTS (SELECT 1 FROM users);
