-- Orders between two places, newest first, with their payments: ?1, ?2 time and id of the older, ?3, ?4 of the
-- newer, ?5 how many. One range of the index orders_placed; the places themselves are left out.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       o.payment_status, o.payment_id, o.payment_amount, o.payment_currency, o.method, o.settled_at
FROM orders_with_payments AS o
WHERE (o.placed_at, o.order_id) > (?1, ?2) AND (o.placed_at, o.order_id) < (?3, ?4)
ORDER BY o.placed_at DESC, o.order_id DESC
LIMIT ?5;
