-- The payment of one order. An ended payment ranks above an open one, then the higher version counts. A replayed order
-- therefore never reopens a settled payment. The payment may arrive before its order, whose columns are not changed.
INSERT INTO orders_with_payments AS o (order_id, payment_id, payment_amount, payment_currency, method, payment_status,
    settled_at, payment_occurred_at, payment_event_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (order_id) DO UPDATE SET
    payment_id = excluded.payment_id,
    payment_amount = excluded.payment_amount,
    payment_currency = excluded.payment_currency,
    method = excluded.method,
    payment_status = excluded.payment_status,
    settled_at = excluded.settled_at,
    payment_occurred_at = excluded.payment_occurred_at,
    payment_event_id = excluded.payment_event_id
WHERE o.payment_event_id IS NULL
    OR (excluded.payment_status <> 'PENDING', excluded.payment_occurred_at, excluded.payment_event_id)
        > (o.payment_status <> 'PENDING', o.payment_occurred_at, o.payment_event_id);
