-- Notes whether the list shows a letter: 0 no, 1 perhaps, 2 yes.
UPDATE dead_letters SET mirrored = ?4 WHERE partition = ?1 AND "offset" = ?2 AND topic = ?3;
