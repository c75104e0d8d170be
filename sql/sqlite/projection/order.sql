-- One order with its lines. Idempotent and in any order: a row gives way only to a newer version of itself.
INSERT INTO orders (order_id, user_id, amount, currency, status, placed_at, items, occurred_at, event_id)
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
WHERE (excluded.occurred_at, excluded.event_id) > (orders.occurred_at, orders.event_id);
