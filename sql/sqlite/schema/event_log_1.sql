-- The embedded event log, version 1. A record is found by its place; places are never reused.
CREATE TABLE records (
    partition   INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    appended_at INTEGER NOT NULL, -- microseconds since 1970
    key         BLOB,
    payload     BLOB    NOT NULL,
    headers     BLOB    NOT NULL, -- in the encoding of shared/src/record.rs
    PRIMARY KEY (partition, "offset")
) STRICT, WITHOUT ROWID;

-- How many partitions the log was made with; a key must find its partition again.
CREATE TABLE log (
    partitions INTEGER NOT NULL
) STRICT;
