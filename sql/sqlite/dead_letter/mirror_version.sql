-- Records the known version of the list. It never decreases, so a late record is harmless.
UPDATE dead_letter_mirror SET version = MAX(version, ?1) WHERE id = 1;
