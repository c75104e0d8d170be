-- The last ?2 orders of each of many users, with their payments. ?1 is a JSON array of user ids, each at most once.
-- Per user the subquery reads ?2 entries of the index orders_of_user, which holds all it needs; then one search of
-- a primary key for each order and each payment. Newest first; of two placed at the same time the greater id.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       p.status, p.payment_id, p.amount, p.currency, p.method, p.settled_at
FROM json_each(?1) AS k
CROSS JOIN orders AS o ON o.order_id IN (
    SELECT r.order_id
    FROM orders AS r
    WHERE r.user_id = k.value
    ORDER BY r.placed_at DESC, r.order_id DESC
    LIMIT ?2
)
LEFT JOIN payments AS p ON p.order_id = o.order_id
ORDER BY o.placed_at DESC, o.order_id DESC;
