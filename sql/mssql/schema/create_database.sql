-- Run in master: makes the database @P1 when it is missing, with readers that never block the projector.
-- Returns one row: 1 when it was made, else 0. Two that do so at once: one makes it, the other is told that it exists (1801) or
-- that it cannot be made right now (1807). No CATCH around it: of several messages that would keep only the last, which tells least.
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
        -- The migration tries once more, and says so when it is off.
        SET @made = 1;
    END CATCH;
END;
SELECT @made AS made;
