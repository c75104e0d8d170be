-- Idempotency keys, version 1. An entry is made before its command is tried and holds the answer once it was granted.
CREATE TABLE idempotency_keys (
    key          TEXT    NOT NULL PRIMARY KEY,
    fingerprint  TEXT    NOT NULL, -- of route, type and body: whether it is the same command
    started_at   INTEGER NOT NULL, -- of the first attempt, microseconds since 1970: the time of the command
    leased_until INTEGER NOT NULL, -- until then another attempt is under way
    token        TEXT    NOT NULL, -- of the newest attempt
    answer       TEXT,             -- JSON
    expires_at   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_by_end ON idempotency_keys (expires_at);
