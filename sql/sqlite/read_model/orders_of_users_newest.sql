-- The same as orders_page_newest.sql for each of many users: ?7 is a JSON array of user ids, each at most once; ?5 counts
-- for each; ?6 is a status or NULL. Per user the subquery reads a range of the index orders_of_user, which holds all
-- that is shown; then each order is found there again, beside the others of its user.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       o.payment_status, o.payment_id, o.payment_amount, o.payment_currency, o.method, o.settled_at
FROM json_each(?7) AS k
CROSS JOIN orders_with_payments AS o ON o.user_id = k.value AND (o.placed_at, o.order_id) IN (
    SELECT r.placed_at, r.order_id
    FROM orders_with_payments AS r
    WHERE r.user_id = k.value
      AND (r.placed_at, r.order_id) > (?1, ?2) AND (r.placed_at, r.order_id) < (?3, ?4)
      AND (?6 IS NULL OR r.status = ?6)
    ORDER BY r.placed_at DESC, r.order_id DESC
    LIMIT ?5
)
ORDER BY o.placed_at DESC, o.order_id DESC;
