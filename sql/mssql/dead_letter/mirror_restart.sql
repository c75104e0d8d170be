-- Starts a new generation @P1 of the Redis list, which shows no letter. A repetition has no effect.
SET NOCOUNT, XACT_ABORT ON;
BEGIN TRY
    BEGIN TRANSACTION;
    UPDATE dbo.dead_letter_mirror WITH (UPDLOCK, HOLDLOCK) SET generation = @P1, version = 0 WHERE id = 1;
    IF @@ROWCOUNT = 0
        INSERT INTO dbo.dead_letter_mirror (id, generation, version) VALUES (1, @P1, 0);
    UPDATE dbo.dead_letters SET mirrored = 0 WHERE mirrored <> 0;
    COMMIT TRANSACTION;
END TRY
BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    THROW;
END CATCH;
