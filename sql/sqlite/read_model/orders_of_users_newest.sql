-- The same as orders_page_newest.sql for each of many users: ?7 is a JSON array of user ids, each at most once; ?5 counts
-- for each; ?6 is a status or NULL. Per user the subquery reads a range of the index orders_of_user, which holds the
-- status as well; then one search of a primary key for each order and each payment.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       p.status, p.payment_id, p.amount, p.currency, p.method, p.settled_at
FROM json_each(?7) AS k
CROSS JOIN orders AS o ON o.order_id IN (
    SELECT r.order_id
    FROM orders AS r
    WHERE r.user_id = k.value
      AND (r.placed_at, r.order_id) > (?1, ?2) AND (r.placed_at, r.order_id) < (?3, ?4)
      AND (?6 IS NULL OR r.status = ?6)
    ORDER BY r.placed_at DESC, r.order_id DESC
    LIMIT ?5
)
LEFT JOIN payments AS p ON p.order_id = o.order_id
ORDER BY o.placed_at DESC, o.order_id DESC;
