-- Orders between two keys with their payments, oldest first: ?1 and ?2 are time and id of the older key, ?3 and ?4 of the
-- newer one, ?5 is the limit. One range of the index orders_placed, without the keys themselves.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at, o.items,
       o.payment_status, o.payment_id, o.payment_amount, o.payment_currency, o.method, o.settled_at
FROM orders_with_payments AS o
WHERE (o.placed_at, o.order_id) > (?1, ?2) AND (o.placed_at, o.order_id) < (?3, ?4)
ORDER BY o.placed_at ASC, o.order_id ASC
LIMIT ?5;
