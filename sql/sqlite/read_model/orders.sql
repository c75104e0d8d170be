-- Orders by id, each with its payment: two searches of a primary key. ?1 is a JSON array of ids.
-- Columns are those of recent_orders.sql. A payment without its order is not shown, the order may follow.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       p.status, p.payment_id, p.amount, p.currency, p.method, p.settled_at
FROM json_each(?1) AS k
CROSS JOIN orders AS o ON o.order_id = k.value
LEFT JOIN payments AS p ON p.order_id = o.order_id;
