-- A user (?1) with the last ?2 orders and their payments, newest first: one row for each order, or one row without an order.
-- The columns of the user are last, so that the others are those of recent_orders.sql. One range of the covering index
-- orders_of_user has the orders in the right order.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       o.payment_status, o.payment_id, o.payment_amount, o.payment_currency, o.method, o.settled_at,
       u.user_id, u.name, u.email, u.occurred_at
FROM users AS u
LEFT JOIN orders_with_payments AS o ON o.user_id = u.user_id
WHERE u.user_id = ?1
ORDER BY o.placed_at DESC, o.order_id DESC
LIMIT ?2;
