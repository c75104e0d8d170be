-- Records whether the list shows a letter: 0 no, 1 possibly, 2 yes. A repetition has no effect.
UPDATE dead_letters SET mirrored = ?4 WHERE partition = ?1 AND "offset" = ?2 AND topic = ?3;
