-- Whether readers see the last committed state instead of waiting for writers: one row, 1 or 0. Turns it on when nobody else
-- is connected; NO_WAIT rather than throwing out whoever is.
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
