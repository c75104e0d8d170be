-- The last @P2 orders of each of several users with their payments and items: one row for each item, at least one for each order.
-- @P1 is a JSON array of distinct user ids. For each user it reads @P2 entries of ix_orders_of_user, then searches a primary key
-- for each payment and for the items of each order. Newest first; between equal times the greater id first.
SELECT o.order_id, o.user_id, o.amount, o.currency, o.status, o.placed_at,
    p.status AS payment_status, p.payment_id, p.amount AS paid, p.currency AS paid_in, p.method, p.settled_at,
    i.sku, i.quantity, i.unit_price
FROM OPENJSON(@P1) WITH (id NVARCHAR(64) '$') AS k
CROSS APPLY (
    SELECT TOP (@P2) r.order_id, r.user_id, r.amount, r.currency, r.status, r.placed_at
    FROM dbo.orders AS r
    WHERE r.user_id = k.id COLLATE Latin1_General_100_BIN2
    ORDER BY r.placed_at DESC, r.order_id DESC
) AS o
LEFT JOIN dbo.payments AS p ON p.order_id = o.order_id
LEFT JOIN dbo.order_items AS i ON i.order_id = o.order_id
ORDER BY o.placed_at DESC, o.order_id DESC, i.line_no;
