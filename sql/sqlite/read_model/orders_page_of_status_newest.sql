-- Like orders_page_newest.sql, for orders with status ?6 only. One range of the index orders_of_status, so that a rare status is
-- as fast as a common one.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       o.payment_status, o.payment_id, o.payment_amount, o.payment_currency, o.method, o.settled_at
FROM orders_with_payments AS o
WHERE o.status = ?6 AND (o.placed_at, o.order_id) > (?1, ?2) AND (o.placed_at, o.order_id) < (?3, ?4)
ORDER BY o.placed_at DESC, o.order_id DESC
LIMIT ?5;
