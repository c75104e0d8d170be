-- Open letters by reason and type, with the time of the oldest and the newest.
SELECT reason, COALESCE(event_type, ''), COUNT(*), MIN(dead_at), MAX(dead_at)
FROM dead_letters
WHERE state = 'open'
GROUP BY 1, 2
ORDER BY 3 DESC, 1, 2;
