-- The read model on SQLite, version 4. Runs once, in a transaction (shared/platform/src/sqlite.rs).
-- An order and its payment become one row, in any order of arrival (docs/adr/0011). The index orders_of_user covers all
-- columns that readers receive: the last orders of a user with their payments are one range of one index, instead of a
-- search of two tables for each order. Writing is not slower, because there is one table less to write to.
-- The views orders and payments have the columns of the former tables.

CREATE TABLE orders_with_payments (
    order_id            TEXT    NOT NULL PRIMARY KEY,
    -- The order: NULL while only its payment has arrived.
    user_id             TEXT,
    amount              INTEGER,
    currency            TEXT,
    status              TEXT,
    placed_at           INTEGER,
    items               TEXT,    -- JSON [{"sku","quantity","unitPrice"}]
    occurred_at         INTEGER,
    event_id            TEXT,
    -- The payment: NULL until it has arrived. payment_id, method and settled_at can be NULL after that too.
    payment_id          TEXT,
    payment_amount      INTEGER,
    payment_currency    TEXT,
    method              TEXT,
    payment_status      TEXT CHECK (payment_status IN ('PENDING', 'SETTLED', 'FAILED')),
    settled_at          INTEGER,
    payment_occurred_at INTEGER,
    payment_event_id    TEXT,
    CHECK (event_id IS NULL OR (user_id IS NOT NULL AND amount IS NOT NULL AND currency IS NOT NULL
        AND status IS NOT NULL AND placed_at IS NOT NULL AND items IS NOT NULL AND occurred_at IS NOT NULL)),
    CHECK (payment_event_id IS NULL OR (payment_amount IS NOT NULL AND payment_currency IS NOT NULL
        AND payment_status IS NOT NULL AND payment_occurred_at IS NOT NULL))
) STRICT, WITHOUT ROWID;

INSERT INTO orders_with_payments
SELECT COALESCE(o.order_id, p.order_id),
       o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items, o.occurred_at, o.event_id,
       p.payment_id, p.amount, p.currency, p.method, p.status, p.settled_at, p.occurred_at, p.event_id
FROM orders AS o
FULL JOIN payments AS p ON p.order_id = o.order_id;

DROP TABLE orders;
DROP TABLE payments;

CREATE INDEX orders_of_user ON orders_with_payments (user_id, placed_at DESC, order_id DESC, status, amount, currency,
    items, payment_status, payment_id, payment_amount, payment_currency, method, settled_at);
CREATE INDEX orders_placed ON orders_with_payments (placed_at DESC, order_id DESC);
CREATE INDEX orders_of_status ON orders_with_payments (status, placed_at DESC, order_id DESC);

CREATE VIEW orders AS
SELECT order_id, user_id, amount, currency, status, placed_at, items, occurred_at, event_id
FROM orders_with_payments
WHERE event_id IS NOT NULL;

CREATE VIEW payments AS
SELECT order_id, payment_id, payment_amount AS amount, payment_currency AS currency, method,
       payment_status AS status, settled_at, payment_occurred_at AS occurred_at, payment_event_id AS event_id
FROM orders_with_payments
WHERE payment_event_id IS NOT NULL;
