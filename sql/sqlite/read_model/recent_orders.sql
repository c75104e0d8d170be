-- The last ?2 orders of each of several users, with their payments. ?1 is a JSON array of distinct user ids.
-- For each user the subquery reads ?2 entries of the covering index orders_of_user; then each order is looked up in the same
-- range of the index. Newest first; between equal times the greater id first.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       o.payment_status, o.payment_id, o.payment_amount, o.payment_currency, o.method, o.settled_at
FROM json_each(?1) AS k
CROSS JOIN orders_with_payments AS o ON o.user_id = k.value AND (o.placed_at, o.order_id) IN (
    SELECT r.placed_at, r.order_id
    FROM orders_with_payments AS r
    WHERE r.user_id = k.value
    ORDER BY r.placed_at DESC, r.order_id DESC
    LIMIT ?2
)
ORDER BY o.placed_at DESC, o.order_id DESC;
