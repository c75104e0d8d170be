-- The embedded event log, version 1. The key of a record is its position. Positions are never reused.
CREATE TABLE records (
    partition   INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    appended_at INTEGER NOT NULL, -- microseconds since 1970
    key         BLOB,
    payload     BLOB    NOT NULL,
    headers     BLOB    NOT NULL, -- in the encoding of shared/domain/src/record.rs
    PRIMARY KEY (partition, "offset")
) STRICT, WITHOUT ROWID;

-- The number of partitions. It never changes, because it maps keys to partitions.
CREATE TABLE log (
    partitions INTEGER NOT NULL
) STRICT;
