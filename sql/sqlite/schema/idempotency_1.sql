-- Idempotency keys, version 1. An entry is created before its command is tried, and stores the response of an accepted command.
CREATE TABLE idempotency_keys (
    key          TEXT    NOT NULL PRIMARY KEY,
    fingerprint  TEXT    NOT NULL, -- hash of route, content type and body; identifies the command
    started_at   INTEGER NOT NULL, -- time of the first attempt, which is the time of the event; microseconds since 1970
    leased_until INTEGER NOT NULL, -- an attempt is running until this time
    token        TEXT    NOT NULL, -- of the newest attempt
    answer       TEXT,             -- JSON
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);
