-- Lets the next migration in.
SET NOCOUNT ON;
EXEC sp_releaseapplock @Resource = N'millrace migrate', @LockOwner = N'Session';
