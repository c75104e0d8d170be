-- Notes how many changes of the list are known here. Never goes back, so a late note does no harm.
UPDATE dead_letter_mirror SET version = MAX(version, ?1) WHERE id = 1;
