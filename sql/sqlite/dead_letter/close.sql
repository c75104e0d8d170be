-- Closes an open letter: 'redriven' after a redrive, 'discarded' after a review.
-- Changes no row if the letter is closed already, so a repetition has no effect.
UPDATE dead_letters SET state = ?4, closed_at = ?5
WHERE partition = ?1 AND "offset" = ?2 AND topic = ?3 AND state = 'open';
