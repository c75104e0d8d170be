-- One order with its items. Idempotent and independent of the order of events: a row is replaced only by a higher version.
-- The row may exist already for the payment of the order, whose columns are not changed.
INSERT INTO orders_with_payments AS o (order_id, user_id, amount, currency, status, placed_at, items, occurred_at, event_id)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (order_id) DO UPDATE SET
    user_id = excluded.user_id,
    amount = excluded.amount,
    currency = excluded.currency,
    status = excluded.status,
    placed_at = excluded.placed_at,
    items = excluded.items,
    occurred_at = excluded.occurred_at,
    event_id = excluded.event_id
WHERE o.event_id IS NULL OR (excluded.occurred_at, excluded.event_id) > (o.occurred_at, o.event_id);
