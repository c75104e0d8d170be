-- Allows one migration at a time; a second one waits. The lock belongs to the session and is released with it.
SET NOCOUNT ON;
DECLARE @granted INT;
EXEC @granted = sp_getapplock @Resource = N'millrace migrate', @LockMode = N'Exclusive', @LockOwner = N'Session', @LockTimeout = 60000;
IF @granted < 0 THROW 51002, N'another migration has held the lock for a minute', 1;
