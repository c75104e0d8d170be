-- Records that step @P1 has run. Steps can be repeated, so a crash between a step and its record is harmless.
SET NOCOUNT, XACT_ABORT ON;
IF OBJECT_ID(N'dbo.schema_migrations', N'U') IS NULL
    CREATE TABLE dbo.schema_migrations (
        version INT NOT NULL,
        applied_at DATETIME2(6) NOT NULL,
        CONSTRAINT pk_schema_migrations PRIMARY KEY CLUSTERED (version)
    );
IF NOT EXISTS (SELECT 1 FROM dbo.schema_migrations AS m WHERE m.version = @P1)
    INSERT INTO dbo.schema_migrations (version, applied_at) VALUES (@P1, SYSUTCDATETIME());
