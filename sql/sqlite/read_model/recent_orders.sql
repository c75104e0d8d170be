-- The last ?2 orders of each of many users, with their payments. ?1 is a JSON array of user ids, each at most once.
-- Per user the subquery reads ?2 entries of the index orders_of_user, which holds all that is shown; then each order is
-- found there again, beside the others of its user. Newest first; of two placed at the same time the greater id.
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
