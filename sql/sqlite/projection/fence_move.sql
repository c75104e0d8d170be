-- Moves the fence, if it still stands where this projector left it. Changes no row when another projector was here.
UPDATE checkpoints SET next_offset = ?4
WHERE topic = ?1 AND partition = ?2 AND next_offset = ?3;
