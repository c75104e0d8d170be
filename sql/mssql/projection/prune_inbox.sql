-- Deletes at most @P2 entries of the inbox from before @P1 (a time in Z). Returns the count.
SET NOCOUNT, XACT_ABORT ON;
DELETE TOP (@P2) FROM dbo.projected_events WHERE projected_at < CAST(@P1 AS DATETIME2(6));
SELECT @@ROWCOUNT AS removed;
