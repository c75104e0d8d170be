-- Runs in master: creates the database @P1 if it is missing, with READ_COMMITTED_SNAPSHOT, so that readers never wait for the
-- projector. Returns one row: 1 if it was created, otherwise 0. Two processes may run this at the same time: one of them gets
-- the error 1801 (the database exists) or 1807 (another database is being created). The creation has no CATCH, because that
-- would keep the last of several error messages only, which is the least specific one.
SET NOCOUNT, XACT_ABORT ON;
DECLARE @made INT, @statement NVARCHAR(400);
SET @made = 0;
IF DB_ID(@P1) IS NULL
BEGIN
    SET @statement = N'CREATE DATABASE ' + QUOTENAME(@P1);
    EXEC (@statement);
    SET @made = 1;
    BEGIN TRY
        SET @statement = N'ALTER DATABASE ' + QUOTENAME(@P1) + N' SET READ_COMMITTED_SNAPSHOT ON';
        EXEC (@statement);
    END TRY
    BEGIN CATCH
        -- The migration tries again and logs a warning if it stays off.
        SET @made = 1;
    END CATCH;
END;
SELECT @made AS made;
