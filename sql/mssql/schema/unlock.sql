-- Allows the next migration.
SET NOCOUNT ON;
EXEC sp_releaseapplock @Resource = N'millrace migrate', @LockOwner = N'Session';
