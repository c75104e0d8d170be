-- The payment of one order. An ended payment beats an open one, then the newer version beats the older: so a replayed
-- order never opens again what was settled, and a payment may arrive before its order.
INSERT INTO payments (order_id, payment_id, amount, currency, method, status, settled_at, occurred_at, event_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (order_id) DO UPDATE SET
    payment_id = excluded.payment_id,
    amount = excluded.amount,
    currency = excluded.currency,
    method = excluded.method,
    status = excluded.status,
    settled_at = excluded.settled_at,
    occurred_at = excluded.occurred_at,
    event_id = excluded.event_id
WHERE (excluded.status <> 'PENDING', excluded.occurred_at, excluded.event_id)
    > (payments.status <> 'PENDING', payments.occurred_at, payments.event_id);
