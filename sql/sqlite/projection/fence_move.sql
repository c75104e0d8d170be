-- Moves the checkpoint, if it is where this projector left it. Changes no row if another projector has moved it.
UPDATE checkpoints SET next_offset = ?4
WHERE topic = ?1 AND partition = ?2 AND next_offset = ?3;
