-- A user (@P1) with the last @P2 orders, newest first, their payments and items: one row for each item, at least one for each
-- order, or one row without an order. It reads @P2 entries of ix_orders_of_user, then searches a primary key for each payment
-- and for the items of each order.
SELECT u.user_id, u.name, u.email, u.occurred_at,
    o.order_id, o.amount, o.currency, o.status, o.placed_at,
    p.status AS payment_status, p.payment_id, p.amount AS paid, p.currency AS paid_in, p.method, p.settled_at,
    i.sku, i.quantity, i.unit_price
FROM dbo.users AS u
OUTER APPLY (
    SELECT TOP (@P2) r.order_id, r.amount, r.currency, r.status, r.placed_at
    FROM dbo.orders AS r
    WHERE r.user_id = u.user_id
    ORDER BY r.placed_at DESC, r.order_id DESC
) AS o
LEFT JOIN dbo.payments AS p ON p.order_id = o.order_id
LEFT JOIN dbo.order_items AS i ON i.order_id = o.order_id
WHERE u.user_id = @P1
ORDER BY o.placed_at DESC, o.order_id DESC, i.line_no;
