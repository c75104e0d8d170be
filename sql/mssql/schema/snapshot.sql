-- Turns READ_COMMITTED_SNAPSHOT on, so that readers see the last committed state instead of waiting for writers. This works only
-- while no other client is connected. NO_WAIT fails instead of disconnecting the others. Returns one row: 1 for on, 0 for off.
SET NOCOUNT ON;
DECLARE @on INT;
SELECT @on = CAST(d.is_read_committed_snapshot_on AS INT) FROM sys.databases AS d WHERE d.name = DB_NAME();
IF @on = 0
BEGIN
    BEGIN TRY
        EXEC (N'ALTER DATABASE CURRENT SET READ_COMMITTED_SNAPSHOT ON WITH NO_WAIT');
        SET @on = 1;
    END TRY
    BEGIN CATCH
        SET @on = 0;
    END CATCH;
END;
SELECT COALESCE(@on, 0) AS snapshot_on;
