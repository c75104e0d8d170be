-- The read model on SQLite, version 2. Runs once, in a transaction (shared/platform/src/sqlite.rs).
-- Open letters are filtered and counted within their index; state is in it only for that. The column mirrored records
-- whether the Redis list shows a letter.

DROP INDEX dead_letters_open;

CREATE INDEX dead_letters_open
    ON dead_letters (dead_at DESC, partition DESC, "offset" DESC, reason, event_type, event_id, state)
    WHERE state = 'open';

-- In the Redis list: 0 no, 1 possibly (a push has started and its result is unknown), 2 yes.
ALTER TABLE dead_letters ADD COLUMN mirrored INTEGER NOT NULL DEFAULT 0 CHECK (mirrored IN (0, 1, 2));

-- The work of the mirror. Both indexes are almost always empty if there is a mirror.
CREATE INDEX dead_letters_to_push ON dead_letters (dead_at, partition, "offset") WHERE state = 'open' AND mirrored < 2;
CREATE INDEX dead_letters_to_remove ON dead_letters (dead_at, partition, "offset") WHERE state <> 'open' AND mirrored > 0;

-- The generation of the Redis list that the column mirrored refers to. No row before the first mirroring.
CREATE TABLE dead_letter_mirror (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    generation TEXT    NOT NULL, -- a unique name for the content of the list
    version    INTEGER NOT NULL  -- the version of the list that is recorded here; an older list in Redis has lost changes
) STRICT, WITHOUT ROWID;
