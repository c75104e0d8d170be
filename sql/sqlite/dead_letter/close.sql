-- Closes an open letter: 'redriven' once it stands in the log again, 'discarded' when a person said so.
-- Changes no row when it was closed before, so doing it twice does nothing.
UPDATE dead_letters SET state = ?4, closed_at = ?5
WHERE partition = ?1 AND "offset" = ?2 AND topic = ?3 AND state = 'open';
