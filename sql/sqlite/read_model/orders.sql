-- Orders by id with their payments, with one search of the primary key for each. ?1 is a JSON array of ids.
-- The columns are those of recent_orders.sql. A payment without its order is not returned.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       o.payment_status, o.payment_id, o.payment_amount, o.payment_currency, o.method, o.settled_at
FROM json_each(?1) AS k
CROSS JOIN orders_with_payments AS o ON o.order_id = k.value
WHERE o.event_id IS NOT NULL;
