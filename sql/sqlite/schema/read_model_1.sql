-- The read model on SQLite, version 1. Runs once, in a transaction (shared/platform/src/sqlite.rs).
-- Rows are stored in the order of their keys (WITHOUT ROWID), so that projecting a row changes one page. Times are
-- microseconds since 1970, and amounts are ten-thousandths: exact integers.
-- (occurred_at, event_id) is the version of a row. Only a higher version replaces a row.
-- There are no foreign keys: an order may arrive before its user, and a payment before its order (docs/adr/0004).

CREATE TABLE users (
    user_id     TEXT    NOT NULL PRIMARY KEY,
    email       TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    occurred_at INTEGER NOT NULL,
    event_id    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX users_recent ON users (occurred_at DESC, user_id DESC);

CREATE TABLE orders (
    order_id    TEXT    NOT NULL PRIMARY KEY,
    user_id     TEXT    NOT NULL,
    amount      INTEGER NOT NULL,
    currency    TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    placed_at   INTEGER NOT NULL,
    items       TEXT    NOT NULL, -- JSON [{"sku","quantity","unitPrice"}]: an order and its items are one row
    occurred_at INTEGER NOT NULL,
    event_id    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX orders_of_user ON orders (user_id, placed_at DESC, order_id DESC);

-- One row for each order: the order opens it as PENDING, the payment ends it, in any order of arrival.
CREATE TABLE payments (
    order_id    TEXT    NOT NULL PRIMARY KEY,
    payment_id  TEXT,
    amount      INTEGER NOT NULL,
    currency    TEXT    NOT NULL,
    method      TEXT,
    status      TEXT    NOT NULL CHECK (status IN ('PENDING', 'SETTLED', 'FAILED')),
    settled_at  INTEGER,
    occurred_at INTEGER NOT NULL,
    event_id    TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- quantity is the sum of all deltas. The newest count that a producer reported is stored beside it.
CREATE TABLE inventory (
    sku               TEXT    NOT NULL PRIMARY KEY,
    quantity          INTEGER NOT NULL,
    reported_quantity INTEGER,
    reported_at       INTEGER,
    reported_by       TEXT,
    updated_at        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The inbox: the ids of events with a delta, whose repetition would count twice.
CREATE TABLE projected_events (
    event_id     TEXT    NOT NULL PRIMARY KEY,
    projected_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Checkpoints: rows are projected up to, not including, next_offset. Changes only in the transaction that changes rows.
CREATE TABLE checkpoints (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (topic, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE dead_letters (
    topic       TEXT    NOT NULL,
    partition   INTEGER NOT NULL,
    "offset"    INTEGER NOT NULL,
    reason      TEXT    NOT NULL, -- a stable word, see DecodeError::reason
    error       TEXT    NOT NULL,
    causes      TEXT    NOT NULL, -- JSON list, outermost first
    event_id    TEXT,
    event_type  TEXT,
    key         BLOB,
    payload     BLOB,             -- unchanged bytes
    headers     BLOB    NOT NULL, -- in the encoding of shared/domain/src/record.rs
    attempts    INTEGER NOT NULL, -- 1, and one more for each redrive
    appended_at INTEGER NOT NULL,
    dead_at     INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('open', 'redriven', 'discarded')),
    closed_at   INTEGER,
    PRIMARY KEY (topic, partition, "offset")
) STRICT, WITHOUT ROWID;

CREATE INDEX dead_letters_open ON dead_letters (dead_at DESC, partition DESC, "offset" DESC) WHERE state = 'open';
