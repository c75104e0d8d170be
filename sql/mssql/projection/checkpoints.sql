-- The checkpoint of each partition of topic @P1.
SELECT c.partition_id, c.next_offset FROM dbo.checkpoints AS c WHERE c.topic = @P1;
