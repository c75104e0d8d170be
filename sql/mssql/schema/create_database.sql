-- Run in master: makes the database @P1 when it is missing, with readers that never block the projector.
-- Returns one row: 1 when it was made, else 0. Two that do so at once: one makes it, the other finds it (1801).
SET NOCOUNT ON;
DECLARE @made INT, @statement NVARCHAR(400);
SET @made = 0;
IF DB_ID(@P1) IS NULL
BEGIN
    BEGIN TRY
        SET @statement = N'CREATE DATABASE ' + QUOTENAME(@P1);
        EXEC (@statement);
        SET @made = 1;
        SET @statement = N'ALTER DATABASE ' + QUOTENAME(@P1) + N' SET READ_COMMITTED_SNAPSHOT ON';
        EXEC (@statement);
    END TRY
    BEGIN CATCH
        IF ERROR_NUMBER() <> 1801 AND @made = 0 THROW;
    END CATCH;
END;
SELECT @made AS made;
