-- The number of steps that have run: one row, 0 in an empty database.
SET NOCOUNT ON;
DECLARE @version INT;
SET @version = 0;
-- Names are resolved when the statement runs, so the table may be missing before the first step.
IF OBJECT_ID(N'dbo.schema_migrations', N'U') IS NOT NULL
    SELECT @version = COUNT(*) FROM dbo.schema_migrations;
SELECT @version AS version;
