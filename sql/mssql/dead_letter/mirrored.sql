-- Records whether the list shows letters (@P1, a JSON list of positions): @P2 is 0 for no, 1 for possibly, 2 for yes. Also
-- records the version @P4 of the list, which never decreases, so a late record is harmless. Returns 1; or 0 without a change
-- if the generation is not @P3.
SET NOCOUNT, XACT_ABORT ON;
DECLARE @noted INT;
SET @noted = 0;
BEGIN TRY
    BEGIN TRANSACTION;
    UPDATE dbo.dead_letter_mirror
    SET version = CASE WHEN version < @P4 THEN @P4 ELSE version END
    WHERE id = 1 AND generation = @P3;
    SET @noted = @@ROWCOUNT;
    IF @noted = 1
        UPDATE d
        SET mirrored = @P2
        FROM dbo.dead_letters AS d
        INNER JOIN OPENJSON(@P1) WITH (
            topic NVARCHAR(249) 'strict $.topic',
            partition_id INT 'strict $.partition',
            record_offset BIGINT 'strict $.offset'
        ) AS p
            ON d.topic = p.topic COLLATE Latin1_General_100_BIN2
            AND d.partition_id = p.partition_id
            AND d.record_offset = p.record_offset;
    COMMIT TRANSACTION;
END TRY
BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION;
    THROW;
END CATCH;
SELECT @noted AS noted;
