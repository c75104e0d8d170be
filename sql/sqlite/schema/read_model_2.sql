-- The read model on SQLite, version 2. Run once, in a transaction, by shared/src/sqlite.rs.
-- Open letters can be filtered and counted within their index (state stands in it for no other reason), and each letter knows whether the mirror shows it.

DROP INDEX dead_letters_open;

CREATE INDEX dead_letters_open
    ON dead_letters (dead_at DESC, partition DESC, "offset" DESC, reason, event_type, event_id, state)
    WHERE state = 'open';

-- In the Redis list: 0 no, 1 perhaps (a push was begun, its answer is not known), 2 yes.
ALTER TABLE dead_letters ADD COLUMN mirrored INTEGER NOT NULL DEFAULT 0 CHECK (mirrored IN (0, 1, 2));

-- What the mirror has to do; both are empty most of the time when there is a mirror.
CREATE INDEX dead_letters_to_push ON dead_letters (dead_at, partition, "offset") WHERE state = 'open' AND mirrored < 2;
CREATE INDEX dead_letters_to_remove ON dead_letters (dead_at, partition, "offset") WHERE state <> 'open' AND mirrored > 0;

-- Which filling of which Redis the column mirrored speaks of: one row, or none while nothing was ever mirrored.
CREATE TABLE dead_letter_mirror (
    id         INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    generation TEXT    NOT NULL, -- a name that the mirror gave the list when it began it
    version    INTEGER NOT NULL  -- changes of the list that are noted here; Redis must not know of fewer
) STRICT, WITHOUT ROWID;
