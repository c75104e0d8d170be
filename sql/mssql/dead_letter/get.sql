-- One open letter by the position of its record: topic @P1, partition @P2, offset @P3.
SELECT d.topic, d.partition_id, d.record_offset, d.reason, d.error, d.causes, d.event_id, d.event_type, d.record_key, d.payload,
    d.headers, d.attempts, d.appended_at, d.dead_at
FROM dbo.dead_letters AS d
WHERE d.topic = @P1 AND d.partition_id = @P2 AND d.record_offset = @P3 AND d.state = 'open';
